// Pebble as a plugin: one database, keyspaces by key prefix, Pebble's own batches.
//
// Configurations: `pebble` without a write-ahead log, where only flush() makes anything last, and `pebble-wal`
// with one that every batch syncs. In scheduled mode automatic compactions are off, memory does not fill, and
// flush() and compact() return when obsolete files are gone, too.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"chaosgate/engines/go/abi"
)

const (
	namesPrefix  = 0xff // its one key holds the names of the keyspaces, each with a NUL behind it
	keyspacesMax = 255

	scheduledMemTableBytes   = 64 << 20 // taken as it is used
	freeRunningMemTableBytes = 256 << 10
	freeRunningLevelBytes    = 1 << 20
)

func main() {}

func init() {
	const family = "pebble"
	classes := []abi.FileClass{{Name: "wal", Pattern: "*.log"}, {Name: "table", Pattern: "*.sst", Immutable: true},
		{Name: "blob", Pattern: "*.blob"}, {Name: "manifest", Pattern: "MANIFEST-*"},
		{Name: "options", Pattern: "OPTIONS-*"}, {Name: "current", Pattern: "marker.*"},
		{Name: "temporary", Pattern: "temporary.*"}, {Name: "lock", Pattern: "LOCK"},
		{Name: "marker", Pattern: "ENGINE*"}, {Name: "other", Pattern: "*"}}
	abi.Register(abi.Plugin{
		Name:   family,
		Module: "github.com/cockroachdb/pebble/v2",
		Configurations: []abi.Configuration{
			{Name: "pebble", Family: family, Summary: "LSM tree, write-ahead log off",
				Commit: abi.SurvivesNothing, Flush: abi.SurvivesPowerCut, Checksums: true, FileClasses: classes},
			// Damage in the last log is taken for a torn write and ends it: no checksums at rest.
			{Name: "pebble-wal", Family: family, Summary: "LSM tree, write-ahead log on, every batch synced",
				Commit: abi.SurvivesPowerCut, Flush: abi.SurvivesPowerCut, FileClasses: classes},
		},
		Open:     open,
		HasStore: hasStore,
	})
}

func hasStore(directory string) bool {
	found, err := pebble.Peek(directory, vfs.Default)
	return err == nil && found.Exists
}

type engine struct {
	reader
	db        *pebble.DB
	scheduled bool
	write     *pebble.WriteOptions
}

// quiet drops what Pebble tells about its work; what is fatal still ends the process.
type quiet struct{}

func (quiet) Infof(string, ...interface{})  {}
func (quiet) Errorf(string, ...interface{}) {}
func (quiet) Fatalf(format string, arguments ...interface{}) {
	fmt.Fprintf(os.Stderr, "pebble: "+format+"\n", arguments...)
	os.Exit(1)
}

func makeOptions(options abi.OpenOptions) *pebble.Options {
	result := &pebble.Options{
		DisableWAL:         options.Configuration == 0,
		ErrorIfExists:      options.Create,
		ErrorIfNotExists:   !options.Create,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             quiet{},
		// One at a time, so that the order of system calls is that of the operations.
		CompactionConcurrencyRange: func() (int, int) { return 1, 1 },
	}
	if options.Scheduled {
		result.DisableAutomaticCompactions = true
		result.DisableTableStats = true // they are collected in the background
		result.Experimental.ReadSamplingMultiplier = -1
		result.MemTableSize = scheduledMemTableBytes
		result.L0CompactionThreshold = math.MaxInt32
		result.L0StopWritesThreshold = math.MaxInt32
	} else {
		result.MemTableSize = freeRunningMemTableBytes
		result.LBaseMaxBytes = freeRunningLevelBytes
		result.L0CompactionThreshold = 2
	}
	if options.Lean {
		result.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	}
	return result
}

func open(options abi.OpenOptions) (abi.Engine, error) {
	if len(options.Keyspaces) > keyspacesMax {
		return nil, errors.New("too many keyspaces")
	}
	db, err := pebble.Open(options.Directory, makeOptions(options))
	if err != nil {
		return nil, classify(err)
	}
	e := &engine{reader: reader{db}, db: db, scheduled: options.Scheduled, write: pebble.Sync}
	if options.Configuration == 0 {
		e.write = pebble.NoSync
	}
	e.settle()
	names := strings.Join(options.Keyspaces, "\x00") + "\x00"
	if options.Create {
		err = errors.Join(db.Set([]byte{namesPrefix}, []byte(names), e.write), e.Flush())
	} else {
		err = e.checkNames(names)
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *engine) checkNames(names string) error {
	found, closer, err := e.db.Get([]byte{namesPrefix})
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("%w: the store names no keyspaces", abi.ErrCorruption)
	}
	if err != nil {
		return classify(err)
	}
	defer closer.Close()
	if string(found) != names {
		return fmt.Errorf("%w: the store has other keyspaces", abi.ErrCorruption)
	}
	return nil
}

func classify(err error) error {
	if errors.Is(err, pebble.ErrNotFound) {
		return abi.ErrNotFound
	}
	if err != nil && (errors.Is(err, pebble.ErrCorruption) || errors.Is(err, pebble.ErrDBDoesNotExist)) {
		return fmt.Errorf("%w: %w", abi.ErrCorruption, err)
	}
	return err
}

// settle waits for the removal of obsolete files, which Pebble leaves to a goroutine. The function is meant for
// tests, which this is.
func (e *engine) settle() {
	if e.scheduled {
		e.db.TestOnlyWaitForCleaning()
	}
}

func (e *engine) Close() {
	if err := e.db.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "pebble: close:", err)
	}
}

func (e *engine) Write(mutations []abi.Mutation) error {
	batch := e.db.NewBatch()
	defer batch.Close()
	for _, mutation := range mutations {
		if err := add(batch, mutation); err != nil {
			return err
		}
	}
	return classify(batch.Commit(e.write))
}

func add(batch *pebble.Batch, mutation abi.Mutation) error {
	key := makeKey(mutation.Keyspace, mutation.Key)
	switch mutation.Kind {
	case abi.Put:
		return batch.Set(key, mutation.Value, nil)
	case abi.Delete:
		return batch.Delete(key, nil)
	}
	if bytes.Equal(mutation.Key, mutation.Value) {
		return nil
	}
	return batch.DeleteRange(key, makeKey(mutation.Keyspace, mutation.Value), nil)
}

func (e *engine) Snapshot() (abi.Reader, error) {
	taken := e.db.NewSnapshot()
	return &snapshot{reader{taken}, taken}, nil
}

func (e *engine) Flush() error {
	err := e.db.Flush()
	e.settle()
	return classify(err)
}

func (e *engine) Compact() error {
	err := e.db.Compact(context.Background(), []byte{0}, []byte{namesPrefix, namesPrefix}, false)
	e.settle()
	return classify(err)
}

func (e *engine) Checkpoint(directory string) error {
	if err := e.Flush(); err != nil { // what is in memory is in no file
		return err
	}
	return classify(e.db.Checkpoint(directory))
}

func (e *engine) BytesInUse() (uint64, error) {
	return e.db.EstimateDiskUsage([]byte{0}, []byte{namesPrefix, namesPrefix})
}

// CheckIntegrity checks the order within and between tables, and every block's checksum by reading it.
func (e *engine) CheckIntegrity() error {
	if err := e.db.CheckLevels(nil); err != nil {
		return fmt.Errorf("%w: %w", abi.ErrCorruption, err)
	}
	it, err := e.db.NewIter(nil)
	if err != nil {
		return classify(err)
	}
	for valid := it.First(); valid; valid = it.Next() {
		if _, err := it.ValueAndErr(); err != nil {
			break
		}
	}
	return classify(it.Close())
}
