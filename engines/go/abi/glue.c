// The function table over the functions that export.go exports, and the plugin's one symbol.
#include <_cgo_export.h>

#include "engines/go/abi/glue.h"

const chaosgate_functions chaosgate_go_functions = {
    goOpen,         goHasStore,  goClose,     goWrite,      goGet,
    goIterator,     goSeekFirst, goSeekLast,  goSeek,       goSeekForPrev,
    goNext,         goPrev,      goFreeIterator, goSnapshot, goSnapshotGet,
    goSnapshotIterator, goFreeSnapshot, goFlush, goCompact, goCheckpoint,
    goBytesInUse,   goCheckIntegrity,
};

const chaosgate_plugin* chaosgate_engine_plugin(void) { return goPlugin(); }
