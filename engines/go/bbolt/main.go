// bbolt as a plugin: one file, a bucket for each keyspace, a read-write transaction for each batch.
//
// Every commit is synced, so flush() has nothing left to do. bbolt has no threads, and both tunings differ only
// in how far the file grows at a time.
//
// bbolt syncs nothing when it opens a file. So it shows, and builds on, a transaction whose meta page a killed
// process had written and not yet synced (results/findings). "bbolt" is bbolt as programs use it;
// "bbolt-synced-open" syncs the file before anything is read.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"chaosgate/engines/go/abi"
)

const (
	dataFile = "store.bolt"
	copyFile = "store.bolt.compact" // becomes dataFile by rename
	// A reader keeps the file from being mapped anew, and reader and writer are one thread here: map it large
	// enough at once. It is address space, not memory.
	mapBytes       = 1 << 30
	leanAllocBytes = 1 << 20
	compactTxBytes = 16 << 20
	metaBytes      = 2 * 4096        // the two meta pages at the head of the file
	lockTimeout    = 5 * time.Second // of a process that was killed just now
)

// The configurations, in the order of their description.
const (
	asIs = iota
	syncedOpen
)

func main() {}

func init() {
	abi.Register(abi.Plugin{
		Name:   "bbolt",
		Module: "go.etcd.io/bbolt",
		Configurations: []abi.Configuration{
			asIs:       configuration("bbolt", "copy-on-write B+ tree, every batch synced"),
			syncedOpen: configuration("bbolt-synced-open", "the same; opening syncs the file first"),
		},
		Open:     open,
		HasStore: hasStore,
	})
}

func configuration(name, summary string) abi.Configuration {
	return abi.Configuration{
		Name:            name,
		Family:          "bbolt",
		Summary:         summary,
		Commit:          abi.SurvivesPowerCut,
		Flush:           abi.SurvivesPowerCut,
		ModifiesInPlace: true, // pages that are free again, and the two meta pages
		FileClasses: []abi.FileClass{{Name: "meta", Pattern: dataFile, BytesEnd: metaBytes},
			{Name: "data", Pattern: dataFile}, {Name: "copy", Pattern: copyFile},
			{Name: "marker", Pattern: "ENGINE*"}, {Name: "other", Pattern: "*"}},
	}
}

func hasStore(directory string) bool {
	info, err := os.Stat(filepath.Join(directory, dataFile))
	return err == nil && info.Size() > 0
}

type engine struct {
	db      *bolt.DB
	options abi.OpenOptions
	names   [][]byte
}

func open(options abi.OpenOptions) (abi.Engine, error) {
	e := &engine{options: options}
	for _, name := range options.Keyspaces {
		e.names = append(e.names, []byte(name))
	}
	if err := e.openFile(options.Create); err != nil {
		return nil, err
	}
	names := e.checkBuckets
	if options.Create {
		names = e.makeBuckets
	}
	if err := names(); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

func (e *engine) openFile(create bool) error {
	path := filepath.Join(e.options.Directory, dataFile)
	db, err := bolt.Open(path, 0o644, &bolt.Options{
		Timeout:         lockTimeout,
		InitialMmapSize: mapBytes,
		FreelistType:    bolt.FreelistArrayType,
		// bbolt would make a file that is not there.
		OpenFile: func(name string, flags int, mode os.FileMode) (*os.File, error) {
			if name == path && !create {
				flags &^= os.O_CREATE
			}
			return os.OpenFile(name, flags, mode)
		},
	})
	if err != nil {
		return classify(err)
	}
	if e.options.Lean {
		db.AllocSize = leanAllocBytes
	}
	if e.options.Configuration == syncedOpen {
		if err := db.Sync(); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	e.db = db
	return nil
}

func classify(err error) error {
	for _, damage := range []error{bolt.ErrInvalid, bolt.ErrChecksum, bolt.ErrVersionMismatch} {
		if errors.Is(err, damage) {
			return fmt.Errorf("%w: %w", abi.ErrCorruption, err)
		}
	}
	return err
}

func (e *engine) makeBuckets() error {
	return e.db.Update(func(tx *bolt.Tx) error {
		for _, name := range e.names {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *engine) checkBuckets() error {
	return e.db.View(func(tx *bolt.Tx) error {
		count := 0
		err := tx.ForEach(func([]byte, *bolt.Bucket) error { count++; return nil })
		for _, name := range e.names {
			if tx.Bucket(name) == nil {
				return fmt.Errorf("%w: the store has no keyspace %q", abi.ErrCorruption, name)
			}
		}
		if err == nil && count != len(e.names) {
			err = fmt.Errorf("%w: the store has %d keyspaces instead of %d", abi.ErrCorruption, count, len(e.names))
		}
		return err
	})
}

func (e *engine) Close() {
	if err := e.db.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "bbolt: close:", err)
	}
}

func (e *engine) Write(batch []abi.Mutation) error {
	return e.db.Update(func(tx *bolt.Tx) error {
		for _, mutation := range batch {
			if err := apply(tx.Bucket(e.names[mutation.Keyspace]), mutation); err != nil {
				return err
			}
		}
		return nil
	})
}

func apply(bucket *bolt.Bucket, mutation abi.Mutation) error {
	switch mutation.Kind {
	case abi.Put:
		return bucket.Put(mutation.Key, mutation.Value)
	case abi.Delete:
		return bucket.Delete(mutation.Key)
	}
	var keys [][]byte // a cursor does not stand still while its bucket changes
	cursor := bucket.Cursor()
	for key, _ := cursor.Seek(mutation.Key); key != nil && bytes.Compare(key, mutation.Value) < 0; key, _ = cursor.Next() {
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys {
		if err := bucket.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) Get(keyspace uint32, key []byte) (value []byte, err error) {
	err = e.db.View(func(tx *bolt.Tx) error {
		found := tx.Bucket(e.names[keyspace]).Get(key)
		if found == nil {
			return abi.ErrNotFound
		}
		value = bytes.Clone(found)
		return nil
	})
	return value, err
}

func (e *engine) Iterator(keyspace uint32) (abi.Iterator, error) {
	tx, err := e.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &iterator{view: &view{tx: tx, users: 1}, cursor: tx.Bucket(e.names[keyspace]).Cursor()}, nil
}

func (e *engine) Snapshot() (abi.Reader, error) {
	tx, err := e.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return &snapshot{view: &view{tx: tx, users: 1}, names: e.names}, nil
}

func (e *engine) Flush() error { return e.db.Sync() }

func (e *engine) Compact() (err error) {
	directory := e.options.Directory
	target := filepath.Join(directory, copyFile)
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) { // of a process that died in here
		return err
	}
	if err := compactInto(target, e.db); err != nil {
		return err
	}
	if err := e.db.Close(); err != nil {
		return err
	}
	renamed := os.Rename(target, filepath.Join(directory, dataFile))
	if renamed == nil {
		renamed = syncDirectory(directory)
	}
	return errors.Join(renamed, e.openFile(false))
}

// compactInto writes a copy; every one of its transactions is synced.
func compactInto(path string, from *bolt.DB) error {
	to, err := bolt.Open(path, 0o644, nil)
	if err != nil {
		return err
	}
	return errors.Join(bolt.Compact(to, from, compactTxBytes), to.Close())
}

func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}

func (e *engine) Checkpoint(directory string) error {
	if err := os.Mkdir(directory, 0o755); err != nil {
		return err
	}
	return e.db.View(func(tx *bolt.Tx) error { return tx.CopyFile(filepath.Join(directory, dataFile), 0o644) })
}

func (e *engine) BytesInUse() (used uint64, err error) {
	err = e.db.View(func(tx *bolt.Tx) error {
		stats := e.db.Stats()
		free := int64(stats.FreePageN+stats.PendingPageN) * int64(e.db.Info().PageSize)
		used = uint64(max(tx.Size()-free, 0))
		return nil
	})
	return used, err
}

func (e *engine) CheckIntegrity() error {
	return e.db.View(func(tx *bolt.Tx) error {
		var first error
		for err := range tx.Check() { // to its end: the check runs in a goroutine of its own
			if first == nil {
				first = fmt.Errorf("%w: %w", abi.ErrCorruption, err)
			}
		}
		return first
	})
}
