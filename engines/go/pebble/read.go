package main

import (
	"bytes"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"chaosgate/engines/go/abi"
)

func makeKey(keyspace uint32, key []byte) []byte {
	return append([]byte{byte(keyspace)}, key...)
}

// reader reads from a database or a snapshot.
type reader struct {
	from interface {
		Get(key []byte) ([]byte, io.Closer, error)
		NewIter(*pebble.IterOptions) (*pebble.Iterator, error)
	}
}

func (r reader) Get(keyspace uint32, key []byte) ([]byte, error) {
	found, closer, err := r.from.Get(makeKey(keyspace, key))
	if err != nil {
		return nil, classify(err)
	}
	return bytes.Clone(found), closer.Close()
}

func (r reader) Iterator(keyspace uint32) (abi.Iterator, error) {
	it, err := r.from.NewIter(&pebble.IterOptions{
		LowerBound: makeKey(keyspace, nil), UpperBound: makeKey(keyspace+1, nil)})
	if err != nil {
		return nil, classify(err)
	}
	return &iterator{it, keyspace}, nil
}

type snapshot struct {
	reader
	taken *pebble.Snapshot
}

func (s *snapshot) Close() { _ = s.taken.Close() }

type iterator struct {
	it       *pebble.Iterator
	keyspace uint32
}

func (i *iterator) stand(valid bool) (abi.Entry, error) {
	if !valid {
		return abi.Entry{}, classify(i.it.Error())
	}
	value, err := i.it.ValueAndErr()
	return abi.Entry{Valid: true, Key: i.it.Key()[1:], Value: value}, classify(err)
}

func (i *iterator) First() (abi.Entry, error) { return i.stand(i.it.First()) }
func (i *iterator) Last() (abi.Entry, error)  { return i.stand(i.it.Last()) }
func (i *iterator) Next() (abi.Entry, error)  { return i.stand(i.it.Next()) }
func (i *iterator) Prev() (abi.Entry, error)  { return i.stand(i.it.Prev()) }
func (i *iterator) Close()                    { _ = i.it.Close() }

func (i *iterator) Seek(target []byte) (abi.Entry, error) {
	return i.stand(i.it.SeekGE(makeKey(i.keyspace, target)))
}

func (i *iterator) SeekForPrev(target []byte) (abi.Entry, error) {
	// Nothing lies between a key and the same key with a zero byte behind it.
	return i.stand(i.it.SeekLT(append(makeKey(i.keyspace, target), 0)))
}
