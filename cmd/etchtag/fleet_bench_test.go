package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
)

// fleetSizes are the fleets that are compared. The largest takes some seconds to make.
func fleetSizes() []int {
	if testing.Short() {
		return []int{100, 10_000}
	}
	return []int{100, 10_000, 1_000_000}
}

// fleetTime is the present of the benchmarks' decisions.
var fleetTime = time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC)

// fleetHost is the name of host i.
func fleetHost(i int) string { return fmt.Sprintf("web%d.dc%d.example.com", i, i%9) }

// fleetGroups are the groups of host i: a tenth of the hosts are in one of the early rings.
func fleetGroups(i int) []string {
	groups := []string{"web", fmt.Sprintf("dc%d", i%9), fmt.Sprintf("rack%d", i%997)}
	if i%10 == 0 {
		groups = append(groups, []string{"dev", "qa", "stg"}[i/10%3])
	}
	return groups
}

// fleetBase makes a base with eight hourly tags whose hosts stand in an inventory of the kind given, with its
// table, as etchtag would have made it.
func fleetBase(b *testing.B, kind string, hosts int) *site {
	l := tag.Base{Path: b.TempDir()}
	config, form := "inventory: [{kind: etch}]\n", "%s: [%s]\n"
	if kind == "file" {
		config, form = "inventory: [{kind: file, path: hosts.yml}]\n", "%s: {groups: [%s]}\n"
	}
	writeFleet(b, filepath.Join(l.Path, "etchtag.yml"), func(w io.Writer) { io.WriteString(w, config) })
	nodes := filepath.Join(l.Path, "hosts.yml")
	writeFleet(b, nodes, func(w io.Writer) {
		for i := range hosts {
			fmt.Fprintf(w, form, fleetHost(i), strings.Join(fleetGroups(i), ", "))
		}
	})
	var table bytes.Buffer
	for hour := range 8 {
		at := fleetTime.Truncate(time.Hour).Add(time.Duration(-hour) * time.Hour)
		name := tag.Name(at)
		writeFleet(b, l.Manifest(name), func(w io.Writer) {
			must(b, tag.WriteManifest(w, &tag.Manifest{Header: tag.Header{Name: name, Published: at}}))
		})
		must(b, os.Mkdir(l.Dir(name), 0o755))
		if kind == "etch" {
			must(b, os.Link(nodes, filepath.Join(l.Dir(name), "nodes.yml")))
			if table.Len() == 0 {
				must(b, inventory.CompileTo(&table, l.Dir(name)))
			}
			writeFleet(b, l.Table(name), func(w io.Writer) { w.Write(table.Bytes()) })
		}
	}
	a := &app{stdout: io.Discard, stderr: os.Stderr, getenv: os.Getenv, now: func() time.Time { return fleetTime }}
	a.log, _ = term.NewLog(io.Discard, "text", slog.LevelInfo, false)
	s, err := a.openSite(l.Path, "", configRequired)
	must(b, err)
	must(b, s.RefreshTables(nil))
	known, err := s.Hosts(fleetTime)
	must(b, err)
	if d := known.Decide(b.Context(), fleetHost(0)); d.Err != nil || len(d.Notes) > 0 {
		b.Fatalf("the table is not used: %+v", d)
	}
	return s
}

// writeFleet writes a file and makes its directory.
func writeFleet(b *testing.B, path string, fill func(w io.Writer)) {
	must(b, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.Create(path)
	must(b, err)
	w := bufio.NewWriter(f)
	fill(w)
	must(b, errors.Join(w.Flush(), f.Close()))
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkFleetCall times the whole process that the etch server starts for each client, as users build it.
// Calls for fleets of different sizes take turns, so that what else the machine does meets all alike. The
// metrics are medians in microseconds for each size, and the largest fleet's by the smallest's.
func BenchmarkFleetCall(b *testing.B) {
	program := filepath.Join(b.TempDir(), "nodetagger")
	build := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", program, "../nodetagger")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	for _, kind := range []string{"etch", "file"} {
		b.Run(kind, func(b *testing.B) {
			sizes := fleetSizes()
			bases := make([]string, len(sizes))
			took := make([][]time.Duration, len(sizes))
			for i, hosts := range sizes {
				bases[i] = fleetBase(b, kind, hosts).Base.Path
			}
			runtime.GC()
			n := 0
			for b.Loop() {
				for i, hosts := range sizes {
					n += 7919
					took[i] = append(took[i], timeCall(b, program, bases[i], fleetHost(n%hosts)))
				}
			}
			for i, hosts := range sizes {
				b.ReportMetric(float64(median(took[i]).Microseconds()), fmt.Sprintf("µs/%d-hosts", hosts))
			}
			last := len(sizes) - 1
			b.ReportMetric(float64(median(took[last]))/float64(median(took[0])), "largest/smallest")
		})
	}
}

// timeCall runs one process.
func timeCall(b *testing.B, program, base, host string) time.Duration {
	c := exec.Command(program, host)
	c.Env = append(os.Environ(), "ETCHTAG_BASE="+base)
	start := time.Now()
	out, err := c.Output()
	took := time.Since(start)
	if err != nil || len(out) == 0 {
		b.Fatalf("nodetagger %s: %q, %v", host, out, err)
	}
	return took
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// BenchmarkFleetDecisions counts the decisions a second in one process, one host after the other as they come.
func BenchmarkFleetDecisions(b *testing.B) {
	eachFleet(b, func(b *testing.B, s *site, hosts int) {
		known, err := s.Hosts(fleetTime)
		must(b, err)
		n := 0
		for b.Loop() {
			n += 7919
			if d := known.Decide(context.Background(), fleetHost(n%hosts)); d.Err != nil || len(d.Groups) == 0 {
				b.Fatalf("%+v", d)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
	})
}

// BenchmarkFleetHosts is etchtag hosts --json: all decisions of a fleet, written out.
func BenchmarkFleetHosts(b *testing.B) {
	eachFleet(b, func(b *testing.B, s *site, hosts int) {
		b.ReportAllocs()
		for b.Loop() {
			code := s.app.run([]string{"etchtag", "--base", s.Base.Path, "hosts", "--json"})
			if code != exitDone {
				b.Fatalf("exit code %d", code)
			}
		}
		b.ReportMetric(float64(b.N)*float64(hosts)/b.Elapsed().Seconds(), "decisions/s")
	})
}

// eachFleet runs a benchmark for every kind of inventory and size of fleet.
func eachFleet(b *testing.B, run func(b *testing.B, s *site, hosts int)) {
	for _, kind := range []string{"etch", "file"} {
		for _, hosts := range fleetSizes() {
			b.Run(fmt.Sprintf("%s/%d", kind, hosts), func(b *testing.B) {
				run(b, fleetBase(b, kind, hosts), hosts)
			})
		}
	}
}
