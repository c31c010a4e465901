package migrations

import (
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
)

// spread hands out the numbers from 0 to n-1, each once, among one call of work for each processor, and returns when all of
// them have.
func spread(n int, work func(mine iter.Seq[int])) {
	var taken atomic.Int64
	mine := func(yield func(int) bool) {
		for i := taken.Add(1) - 1; i < int64(n) && yield(int(i)); i = taken.Add(1) - 1 {
		}
	}
	var all sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		all.Go(func() { work(mine) })
	}
	all.Wait()
}
