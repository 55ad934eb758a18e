// Package abi turns a storage engine written in Go into a plugin over chaosgate's C ABI
// (engines/plugin/chaosgate_engine.h).
//
// A plugin is a package main that is built with -buildmode=c-shared and calls Register from an init function. The
// Go runtime starts when the shared object is loaded, which happens in worker processes only, after the fork.
package abi

import (
	"errors"
	"runtime/debug"
)

// What an engine returns for a key that is not there, and wraps when stored bytes contradict themselves.
var (
	ErrNotFound   = errors.New("not found")
	ErrCorruption = errors.New("corruption")
)

// Kind says what a Mutation does.
type Kind int

// In the order of chaosgate_mutation_kind.
const (
	Put Kind = iota
	Delete
	DeleteRange
)

// Mutation is one operation of a batch. Its bytes are C memory and good during Write only.
type Mutation struct {
	Kind     Kind
	Keyspace uint32
	Key      []byte // the begin of the range
	Value    []byte // the end of the range, excluded
}

// Entry is where an iterator stands. Its bytes are good until the iterator moves.
type Entry struct {
	Valid      bool
	Key, Value []byte
}

// Iterator is a position in one keyspace, over the state at its creation.
type Iterator interface {
	First() (Entry, error)
	Last() (Entry, error)
	Seek(target []byte) (Entry, error)        // to the first key >= target
	SeekForPrev(target []byte) (Entry, error) // to the last key <= target
	Next() (Entry, error)
	Prev() (Entry, error)
	Close()
}

// Reader is what engines and snapshots have in common.
type Reader interface {
	// The value is good until the next call.
	Get(keyspace uint32, key []byte) ([]byte, error)
	Iterator(keyspace uint32) (Iterator, error)
	Close()
}

// Engine is an open store; chaosgate_functions says what each method does.
type Engine interface {
	Reader
	Write(batch []Mutation) error
	Snapshot() (Reader, error)
	Flush() error
	Compact() error
	Checkpoint(directory string) error
	BytesInUse() (uint64, error)
	CheckIntegrity() error
}

// OpenOptions are chaosgate_open_options.
type OpenOptions struct {
	Configuration int
	Directory     string
	Create        bool
	Keyspaces     []string
	Scheduled     bool
	Lean          bool
}

// Durability is chaosgate_durability.
type Durability int

// In the order of chaosgate_durability.
const (
	SurvivesNothing Durability = iota
	SurvivesProcessCrash
	SurvivesPowerCut
)

// FileClass is chaosgate_file_class.
type FileClass struct {
	Name, Pattern string
	BytesEnd      uint64
	Immutable     bool
}

// Configuration is chaosgate_configuration. Batches are atomic, and the store opens after a power cut.
type Configuration struct {
	Name, Family, Summary string
	Commit, Flush         Durability
	Checksums             bool
	ModifiesInPlace       bool
	FileClasses           []FileClass
}

// Plugin is what Register is told.
type Plugin struct {
	Name           string
	Module         string // path of the Go module whose version is the engine's
	Configurations []Configuration
	Open           func(options OpenOptions) (Engine, error)
	HasStore       func(directory string) bool
}

// moduleVersion is the version of a module that this binary was built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == path {
				return module.Version
			}
		}
	}
	return "unknown"
}
