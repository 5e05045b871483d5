package main

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/user"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
)

// nodesXML is what nVentory says of a host, with something more.
func nodesXML(host, more string) string {
	return "<nodes type=\"array\"><node><name>" + host + "</name><node_groups type=\"array\"><node_group><name>dev</name></node_group>" +
		"</node_groups>" + more + "</node></nodes>"
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
}

// nventoryTroubles are answers that are none.
var nventoryTroubles = map[string]http.HandlerFunc{
	"hung": hang,
	"slow": func(w http.ResponseWriter, r *http.Request) { // but never done
		for r.Context().Err() == nil {
			fmt.Fprint(w, " ")
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	},
	"an error":            answer(http.StatusInternalServerError),
	"gone":                answer(http.StatusNotFound),
	"nothing":             says(""),
	"a web page":          says("<html><body>Log in</body></html>"),
	"another host":        says(nodesXML("other.example.com", "")),
	"the host and others": says(strings.Replace(nodesXML("dev1.example.com", ""), "</nodes>", "<node><name>x</name></node></nodes>", 1)),
	"cut off":             says(nodesXML("dev1.example.com", "")[:100]),
	"an answer to another question": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusPartialContent)
		fmt.Fprint(w, nodesXML("dev1.example.com", ""))
	},
	"in circles": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/round"+r.URL.Path+"?"+r.URL.RawQuery, http.StatusFound)
	},
	"to itself": func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.String(), http.StatusMovedPermanently)
	},
	"50 MB": func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<nodes><node>")
		for range 50 << 4 {
			if _, err := fmt.Fprint(w, "<x>", strings.Repeat("x", 1<<16), "</x>"); err != nil {
				return
			}
		}
		fmt.Fprint(w, "</node></nodes>")
	},
	"50 MB in 50 kB": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer z.Close()
		fmt.Fprint(z, "<nodes><node><x>")
		for range 50 << 4 {
			if _, err := fmt.Fprint(z, strings.Repeat("x", 1<<16)); err != nil {
				return
			}
		}
		fmt.Fprint(z, "</x></node></nodes>")
	},
	"an entity bomb": says(`<!DOCTYPE nodes [<!ENTITY a "lol"><!ENTITY b "` + strings.Repeat("&a;", 100) + `"><!ENTITY c "` +
		strings.Repeat("&b;", 100) + `"><!ENTITY d "` + strings.Repeat("&c;", 100) + `">]>` + nodesXML("&d;", "")),
	"an entity from a file": says(`<!DOCTYPE nodes [<!ENTITY a SYSTEM "file:///etc/passwd">]>` + nodesXML("&a;", "")),
	"deep":                  says(nodesXML("dev1.example.com", strings.Repeat("<a>", 100_000)+strings.Repeat("</a>", 100_000))),
}

// TestScenario21NVentoryInTrouble asks an nVentory server that does not answer, or answers what it should not, first
// without and then with answers that were kept. That the program comes to its end by itself, though the server never
// ends, is the deadline.
func TestScenario21NVentoryInTrouble(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	s := newScenario(t, "")
	var mood atomic.Value
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mood.Load().(http.HandlerFunc)(w, r) }))
	t.Cleanup(server.Close)
	me, err := user.Current()
	must(t, err)
	configure := func(server, timeout, stale string) {
		s.configure("rings: [{name: dev, delay: 0h, groups: [dev]}, {name: production, delay: 4h}]", "server_user: "+me.Username,
			"cache_dir: "+s.dir+"/cache", fmt.Sprintf("inventory: [{kind: nventory, server: %q, timeout: %s%s}]", server, timeout, stale))
	}
	good := http.HandlerFunc(says(nodesXML("dev1.example.com", "")))
	mood.Store(good)
	const patience, stale = "1m", ", stale: 24h"
	configure(server.URL, patience, stale)
	for _, hour := range []int{2, 5, 6} {
		s.snapshot(exitDone, hour)
	}
	s.exits(exitDone, "init")
	before := s.tags()
	limit := func(trouble string) string {
		if trouble == "hung" || trouble == "slow" {
			return "1s"
		}
		return patience
	}
	nothing := func(what string) {
		t.Helper()
		o := s.run("nodetagger", "dev1.example.com", "--at", hourAt(6))
		if o.code != exitFailed || o.stdout != "" || !strings.Contains(o.stderr, "nventory") || len(o.stderr) > 2000 || strings.Contains(o.stderr, "root:") {
			t.Errorf("%s: exit status %d, %q: %.1000s", what, o.code, o.stdout, o.stderr)
		}
	}
	for what, trouble := range nventoryTroubles {
		mood.Store(trouble)
		configure(server.URL, limit(what), "")
		nothing(what)
		configure(server.URL, limit(what), stale)
		nothing(what + ", and nothing was kept")
	}
	configure("http://127.0.0.1:1", patience, "")
	nothing("down")

	configure(server.URL, patience, stale)
	mood.Store(good)
	want := "tags/" + hourTag(6)
	if got := s.gets(6, "dev1.example.com"); got != want {
		t.Fatalf("a host gets %q", got)
	}
	for what, trouble := range nventoryTroubles {
		mood.Store(trouble)
		configure(server.URL, limit(what), stale)
		if got := s.gets(6, "dev1.example.com"); got != want {
			t.Errorf("%s: with an answer that was kept a host gets %q", what, got)
		}
	}
	s.exits(exitDone, "explain", "dev1.example.com", "--at", hourAt(6)).says("this was answered .* ago; now: ")
	s.statusSays(6, "inventory", "^problem: ")
	s.intact(before)
	mood.Store(good)
	configure(server.URL, patience, stale)
	s.recovers(7)
}
