package abi

// #cgo CFLAGS: -I${SRCDIR}/../../..
// #include "engines/go/abi/glue.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// reading is an engine or a snapshot with the memory for its last value.
type reading struct {
	reader Reader
	value  buffer
}

// walking is an iterator with the memory for where it stands.
type walking struct {
	iterator Iterator
	entry    buffer
}

func engineOf(engine *C.chaosgate_engine) Engine {
	return inCell[*reading](unsafe.Pointer(engine)).reader.(Engine)
}

// guarded runs the body of an exported function; its error, or its panic, becomes a code and a message.
func guarded(message *C.chaosgate_message, body func() error) (code C.chaosgate_code) {
	defer func() {
		if reason := recover(); reason != nil {
			code = fail(message, C.CHAOSGATE_IO_ERROR, fmt.Sprint("panic: ", reason))
		}
	}()
	switch err := body(); {
	case err == nil:
		return C.CHAOSGATE_OK
	case errors.Is(err, ErrNotFound):
		return C.CHAOSGATE_NOT_FOUND
	case errors.Is(err, ErrCorruption):
		return fail(message, C.CHAOSGATE_CORRUPTION, err.Error())
	default:
		return fail(message, C.CHAOSGATE_IO_ERROR, err.Error())
	}
}

func fail(message *C.chaosgate_message, code C.chaosgate_code, text string) C.chaosgate_code {
	room := unsafe.Slice((*byte)(unsafe.Pointer(&message.text)), len(message.text))
	room[copy(room[:len(room)-1], text)] = 0
	return code
}

//export goOpen
func goOpen(options C.chaosgate_open_options, engine **C.chaosgate_engine, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error {
		names := []string{}
		for _, name := range unsafe.Slice(options.keyspaces, int(options.keyspace_count)) {
			names = append(names, string(view(name)))
		}
		opened, err := registered.Open(OpenOptions{
			Configuration: int(options.configuration),
			Directory:     string(view(options.directory)),
			Create:        options.create != 0,
			Keyspaces:     names,
			Scheduled:     options.scheduled != 0,
			Lean:          options.lean != 0,
		})
		if err != nil {
			return err
		}
		*engine = (*C.chaosgate_engine)(newCell(&reading{reader: opened}))
		return nil
	})
}

//export goHasStore
func goHasStore(_ C.uint32_t, directory C.chaosgate_slice) C.int {
	return flag(registered.HasStore(string(view(directory))))
}

//export goClose
func goClose(engine *C.chaosgate_engine) { closeReading(unsafe.Pointer(engine)) }

func closeReading(cell unsafe.Pointer) {
	closed := inCell[*reading](cell)
	closed.reader.Close()
	closed.value.free()
	freeCell(cell)
}

//export goWrite
func goWrite(engine *C.chaosgate_engine, batch C.chaosgate_batch, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error {
		mutations := make([]Mutation, 0, int(batch.count))
		for _, mutation := range unsafe.Slice(batch.mutations, int(batch.count)) {
			mutations = append(mutations, Mutation{Kind(mutation.kind), uint32(mutation.keyspace),
				view(mutation.key), view(mutation.value)})
		}
		return engineOf(engine).Write(mutations)
	})
}

//export goGet
func goGet(engine *C.chaosgate_engine, keyspace C.uint32_t, key C.chaosgate_slice, value *C.chaosgate_slice, message *C.chaosgate_message) C.chaosgate_code {
	return get(unsafe.Pointer(engine), keyspace, key, value, message)
}

//export goSnapshotGet
func goSnapshotGet(snapshot *C.chaosgate_snapshot, keyspace C.uint32_t, key C.chaosgate_slice, value *C.chaosgate_slice, message *C.chaosgate_message) C.chaosgate_code {
	return get(unsafe.Pointer(snapshot), keyspace, key, value, message)
}

func get(cell unsafe.Pointer, keyspace C.uint32_t, key C.chaosgate_slice, value *C.chaosgate_slice, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error {
		from := inCell[*reading](cell)
		found, err := from.reader.Get(uint32(keyspace), view(key))
		if err == nil {
			*value = from.value.put(found)[0]
		}
		return err
	})
}

//export goIterator
func goIterator(engine *C.chaosgate_engine, keyspace C.uint32_t, iterator **C.chaosgate_iterator, message *C.chaosgate_message) C.chaosgate_code {
	return newIterator(unsafe.Pointer(engine), keyspace, iterator, message)
}

//export goSnapshotIterator
func goSnapshotIterator(snapshot *C.chaosgate_snapshot, keyspace C.uint32_t, iterator **C.chaosgate_iterator, message *C.chaosgate_message) C.chaosgate_code {
	return newIterator(unsafe.Pointer(snapshot), keyspace, iterator, message)
}

func newIterator(cell unsafe.Pointer, keyspace C.uint32_t, iterator **C.chaosgate_iterator, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error {
		made, err := inCell[*reading](cell).reader.Iterator(uint32(keyspace))
		if err == nil {
			*iterator = (*C.chaosgate_iterator)(newCell(&walking{iterator: made}))
		}
		return err
	})
}

func move(iterator *C.chaosgate_iterator, position *C.chaosgate_position, message *C.chaosgate_message, make func(Iterator) (Entry, error)) C.chaosgate_code {
	return guarded(message, func() error {
		walk := inCell[*walking](unsafe.Pointer(iterator))
		entry, err := make(walk.iterator)
		if err == nil && entry.Valid {
			parts := walk.entry.put(entry.Key, entry.Value)
			position.valid, position.key, position.value = 1, parts[0], parts[1]
		}
		return err
	})
}

//export goSeekFirst
func goSeekFirst(iterator *C.chaosgate_iterator, position *C.chaosgate_position, message *C.chaosgate_message) C.chaosgate_code {
	return move(iterator, position, message, Iterator.First)
}

//export goSeekLast
func goSeekLast(iterator *C.chaosgate_iterator, position *C.chaosgate_position, message *C.chaosgate_message) C.chaosgate_code {
	return move(iterator, position, message, Iterator.Last)
}

//export goSeek
func goSeek(iterator *C.chaosgate_iterator, target C.chaosgate_slice, position *C.chaosgate_position, message *C.chaosgate_message) C.chaosgate_code {
	return move(iterator, position, message, func(it Iterator) (Entry, error) { return it.Seek(view(target)) })
}

//export goSeekForPrev
func goSeekForPrev(iterator *C.chaosgate_iterator, target C.chaosgate_slice, position *C.chaosgate_position, message *C.chaosgate_message) C.chaosgate_code {
	return move(iterator, position, message, func(it Iterator) (Entry, error) { return it.SeekForPrev(view(target)) })
}

//export goNext
func goNext(iterator *C.chaosgate_iterator, position *C.chaosgate_position, message *C.chaosgate_message) C.chaosgate_code {
	return move(iterator, position, message, Iterator.Next)
}

//export goPrev
func goPrev(iterator *C.chaosgate_iterator, position *C.chaosgate_position, message *C.chaosgate_message) C.chaosgate_code {
	return move(iterator, position, message, Iterator.Prev)
}

//export goFreeIterator
func goFreeIterator(iterator *C.chaosgate_iterator) {
	freed := inCell[*walking](unsafe.Pointer(iterator))
	freed.iterator.Close()
	freed.entry.free()
	freeCell(unsafe.Pointer(iterator))
}

//export goSnapshot
func goSnapshot(engine *C.chaosgate_engine, snapshot **C.chaosgate_snapshot, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error {
		made, err := engineOf(engine).Snapshot()
		if err == nil {
			*snapshot = (*C.chaosgate_snapshot)(newCell(&reading{reader: made}))
		}
		return err
	})
}

//export goFreeSnapshot
func goFreeSnapshot(snapshot *C.chaosgate_snapshot) { closeReading(unsafe.Pointer(snapshot)) }

//export goFlush
func goFlush(engine *C.chaosgate_engine, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error { return engineOf(engine).Flush() })
}

//export goCompact
func goCompact(engine *C.chaosgate_engine, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error { return engineOf(engine).Compact() })
}

//export goCheckpoint
func goCheckpoint(engine *C.chaosgate_engine, directory C.chaosgate_slice, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error { return engineOf(engine).Checkpoint(string(view(directory))) })
}

//export goBytesInUse
func goBytesInUse(engine *C.chaosgate_engine, bytes *C.uint64_t, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error {
		used, err := engineOf(engine).BytesInUse()
		*bytes = C.uint64_t(used)
		return err
	})
}

//export goCheckIntegrity
func goCheckIntegrity(engine *C.chaosgate_engine, message *C.chaosgate_message) C.chaosgate_code {
	return guarded(message, func() error { return engineOf(engine).CheckIntegrity() })
}
