package abi

// #include <stdlib.h>
// #include "engines/go/abi/glue.h"
import "C"

import "unsafe"

var (
	registered Plugin
	described  *C.chaosgate_plugin // lives as long as the process
)

// Register makes the plugin of this shared object. Call it once, from an init function.
func Register(plugin Plugin) {
	registered = plugin
	described = allocate[C.chaosgate_plugin](1)
	described.abi_version = C.CHAOSGATE_ENGINE_ABI_VERSION
	described.struct_size = C.uint32_t(unsafe.Sizeof(*described))
	described.name = C.CString(plugin.Name)
	described.version = C.CString(moduleVersion(plugin.Module))
	count := len(plugin.Configurations)
	described.configurations = allocate[C.chaosgate_configuration](count)
	described.configuration_count = C.size_t(count)
	for i, configuration := range unsafe.Slice(described.configurations, count) {
		describe(plugin.Configurations[i], &configuration)
		unsafe.Slice(described.configurations, count)[i] = configuration
	}
	described.functions = C.chaosgate_go_functions
}

func describe(from Configuration, to *C.chaosgate_configuration) {
	to.name = C.CString(from.Name)
	to.family = C.CString(from.Family)
	to.summary = C.CString(from.Summary)
	to.contract.commit = C.chaosgate_durability(from.Commit)
	to.contract.flush = C.chaosgate_durability(from.Flush)
	to.contract.opens_after_power_cut = 1
	to.contract.atomic_batches = 1
	to.contract.checksums = flag(from.Checksums)
	to.contract.modifies_in_place = flag(from.ModifiesInPlace)
	to.file_classes = allocate[C.chaosgate_file_class](len(from.FileClasses))
	to.file_class_count = C.size_t(len(from.FileClasses))
	for i, class := range from.FileClasses {
		unsafe.Slice(to.file_classes, len(from.FileClasses))[i] = C.chaosgate_file_class{
			name: C.CString(class.Name), pattern: C.CString(class.Pattern), bytes_end: C.uint64_t(class.BytesEnd),
			immutable: flag(class.Immutable)}
	}
}

func flag(value bool) C.int {
	if value {
		return 1
	}
	return 0
}

// allocate returns zeroed C memory for an array.
func allocate[Element any](count int) *Element {
	var element Element
	return (*Element)(C.calloc(C.size_t(count), C.size_t(unsafe.Sizeof(element))))
}

//export goPlugin
func goPlugin() *C.chaosgate_plugin { return described }
