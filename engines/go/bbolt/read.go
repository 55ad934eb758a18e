package main

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"chaosgate/engines/go/abi"
)

// view is a read transaction that a snapshot and its iterators share: the last one ends it.
type view struct {
	tx    *bolt.Tx
	users int
}

func (v *view) release() {
	if v.users--; v.users == 0 {
		_ = v.tx.Rollback() // of a read transaction: nothing can be lost
	}
}

type snapshot struct {
	view  *view
	names [][]byte
}

func (s *snapshot) Get(keyspace uint32, key []byte) ([]byte, error) {
	if found := s.view.tx.Bucket(s.names[keyspace]).Get(key); found != nil {
		return found, nil
	}
	return nil, abi.ErrNotFound
}

func (s *snapshot) Iterator(keyspace uint32) (abi.Iterator, error) {
	s.view.users++
	return &iterator{view: s.view, cursor: s.view.tx.Bucket(s.names[keyspace]).Cursor()}, nil
}

func (s *snapshot) Close() { s.view.release() }

type iterator struct {
	view   *view
	cursor *bolt.Cursor
}

func stand(key, value []byte) (abi.Entry, error) {
	return abi.Entry{Valid: key != nil, Key: key, Value: value}, nil
}

func (i *iterator) First() (abi.Entry, error)             { return stand(i.cursor.First()) }
func (i *iterator) Last() (abi.Entry, error)              { return stand(i.cursor.Last()) }
func (i *iterator) Seek(target []byte) (abi.Entry, error) { return stand(i.cursor.Seek(target)) }
func (i *iterator) Next() (abi.Entry, error)              { return stand(i.cursor.Next()) }
func (i *iterator) Prev() (abi.Entry, error)              { return stand(i.cursor.Prev()) }
func (i *iterator) Close()                                { i.view.release() }

func (i *iterator) SeekForPrev(target []byte) (abi.Entry, error) {
	key, value := i.cursor.Seek(target)
	if key == nil {
		return i.Last()
	}
	if bytes.Equal(key, target) {
		return stand(key, value)
	}
	return i.Prev()
}
