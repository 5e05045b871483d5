package nventory

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/etch/etchtag/tagging/inventory"
)

// BenchmarkNVentoryHosts lists fleets, and reports what is held in memory for each host at the end.
func BenchmarkNVentoryHosts(b *testing.B) {
	for _, hosts := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			inv := askingPatiently(startWeb(b, fleetOfNodes(hosts)))
			before := liveBytes()
			var held uint64
			b.ReportAllocs()
			for b.Loop() {
				count := 0
				err := inv.Hosts(b.Context(), func(string, inventory.Answer) bool {
					if count++; count == 1 {
						b.StopTimer()
						held = liveBytes()
						b.StartTimer()
					}
					return true
				})
				if err != nil || count != hosts {
					b.Fatalf("%d hosts, error %v", count, err)
				}
			}
			b.ReportMetric((float64(held)-float64(before))/float64(hosts), "held-B/host")
		})
	}
}

// fleetOfNodes answers with so many nodes, each in three groups.
func fleetOfNodes(hosts int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		buffered := bufio.NewWriter(w)
		defer buffered.Flush()
		io.WriteString(buffered, "<nodes type=\"array\">\n")
		for i := range hosts {
			groups := []string{"web", fmt.Sprint("dc", i%9), fmt.Sprint("rack", i%997)}
			io.WriteString(buffered, nodeXML(fmt.Sprintf("web%d.dc%d.example.com", i, i%9), "", groups))
		}
		io.WriteString(buffered, "</nodes>\n")
	})
}

// liveBytes is the size of what is in use on the heap.
func liveBytes() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
