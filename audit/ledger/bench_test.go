// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/portalsec/portalsec/audit/ledger"
	"github.com/stretchr/testify/require"
)

func BenchmarkRecord(b *testing.B) {
	for _, writers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			l := open(b, b.TempDir())
			b.ReportAllocs()
			var wg sync.WaitGroup
			work := make(chan int)
			for range writers {
				wg.Go(func() {
					for i := range work {
						if err := l.Record(context.Background(), event(i)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for i := 0; b.Loop(); i++ {
				work <- i
			}
			close(work)
			wg.Wait()
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	const n = 10_000
	content := []byte(ledger.Header)
	prev := ledger.Genesis
	for i := uint64(1); i <= n; i++ {
		event := fmt.Appendf(nil, `{"v":1,"id":"%036d","time":"2026-01-02T03:04:05Z","kind":"app.x","outcome":"success","severity":"info","tenant":"acme"}`, i)
		hash := ledger.Link(i, prev, event)
		content = ledger.AppendLine(content, i, prev, hash, event)
		prev = hash
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := ledger.VerifyBytes(content)
		require.NoError(b, err)
		require.True(b, r.OK())
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}

func BenchmarkReadPage(b *testing.B) {
	dir, _ := closed(b, 1000)
	l := open(b, dir)
	b.ReportAllocs()
	for b.Loop() {
		_, err := l.Read(b.Context(), ledger.Query{AllTenants: true, Limit: 50})
		require.NoError(b, err)
	}
}
