package abi

// #include <stdlib.h>
// #include <string.h>
// #include "engines/go/abi/glue.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// buffer is C memory for bytes that are handed out: C must not keep pointers into Go's memory.
type buffer struct {
	data unsafe.Pointer
	size int
}

func (b *buffer) reserve(size int) {
	if size > b.size {
		C.free(b.data)
		b.size = 2 * size
		b.data = C.malloc(C.size_t(b.size))
	}
}

// put copies parts one after the other and returns where they are.
func (b *buffer) put(parts ...[]byte) []C.chaosgate_slice {
	total := 0
	for _, part := range parts {
		total += len(part)
	}
	b.reserve(total)
	slices := make([]C.chaosgate_slice, len(parts))
	at := 0
	for i, part := range parts {
		if len(part) > 0 {
			start := unsafe.Add(b.data, at)
			copy(unsafe.Slice((*byte)(start), len(part)), part)
			slices[i] = C.chaosgate_slice{data: (*C.char)(start), size: C.size_t(len(part))}
			at += len(part)
		}
	}
	return slices
}

func (b *buffer) free() { C.free(b.data) }

// Objects that C passes around are C cells with a handle in them.

func newCell(object any) unsafe.Pointer {
	cell := C.malloc(C.size_t(unsafe.Sizeof(cgo.Handle(0))))
	*(*cgo.Handle)(cell) = cgo.NewHandle(object)
	return cell
}

func inCell[Object any](cell unsafe.Pointer) Object {
	return (*(*cgo.Handle)(cell)).Value().(Object)
}

func freeCell(cell unsafe.Pointer) {
	(*(*cgo.Handle)(cell)).Delete()
	C.free(cell)
}

// view is C memory as a Go slice, without a copy.
func view(bytes C.chaosgate_slice) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(bytes.data)), int(bytes.size))
}
