package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// size is the extent of a generated configuration.
type size struct {
	files, dirs, commits int
	mean                 int // size of a file, in bytes
	hosts                int
	tags                 int // how many list lists
	tagged               int // the files of each of these
	calls                int // how often the shortest processes run, at least
	growth               [2]int
}

var sizes = map[string]size{
	"full": {
		files: 10_850, dirs: 3_986, commits: 5_000, mean: 6_700, hosts: 1_000,
		tags: 72, tagged: 2_000, calls: 200, growth: [2]int{10_000, 100_000},
	},
	"small": {
		files: 300, dirs: 110, commits: 40, mean: 2_000, hosts: 1_000,
		tags: 8, tagged: 100, calls: 5, growth: [2]int{100, 1_000},
	},
}

// model is a configuration in all its versions. Equal models have equal files.
type model struct {
	size
	paths []string // of the directories
}

// node is one file of a model, or a symbolic link.
type node struct {
	path string
	mode string // as git writes it
	data []byte // contents, or where the link leads
}

const (
	regular    = "100644"
	executable = "100755"
	link       = "120000"
)

// newModel arranges the directories as a tree in which each has some five others.
func newModel(s size) *model {
	m := &model{size: s, paths: make([]string, s.dirs)}
	m.paths[0] = "source"
	for i := 1; i < s.dirs; i++ {
		m.paths[i] = fmt.Sprintf("%s/%s%d", m.paths[(i-1)/5], words[i%len(words)], i)
	}
	return m
}

// fixed are the files that an etch server needs, at the top.
func (m *model) fixed() []node {
	var nodes bytes.Buffer
	for i := range m.hosts {
		fmt.Fprintf(&nodes, "%s:\n- %s-web\n- dc%d\n", host(i), []string{"dev", "qa", "stg", "prod"}[i%4], i%9)
	}
	return []node{
		{"defaults.yml", regular, []byte("file:\n  owner: 0\n  group: 0\n  perms: 0644\n")},
		{"nodegrouper", executable, []byte("#!/bin/sh\necho prod\n")},
		{"nodegroups.yml", regular, []byte("dev:\n- dev-web\nqa:\n- qa-web\nstg:\n- stg-web\n")},
		{"nodes.yml", regular, nodes.Bytes()},
	}
}

func host(i int) string { return fmt.Sprintf("web%d.dc%d.example.com", i, i%9) }

// variable is the number of files that commits change.
func (m *model) variable() int { return m.files - len(m.fixed()) }

// file is file i of those that commits change, in one of its versions.
func (m *model) file(i, version int) node {
	dir := m.paths[i%len(m.paths)]
	switch n := (node{path: fmt.Sprintf("%s/file%d.conf", dir, i), mode: regular}); {
	case i%50 == 49 && version == 0 && i >= len(m.paths):
		n.mode, n.data = link, fmt.Appendf(nil, "file%d.conf", i-len(m.paths))
		return n
	case i%10 == 9:
		n.mode, n.data = executable, m.text(i, version)
		return n
	default:
		n.data = m.text(i, version)
		return n
	}
}

// text is like a configuration file: words and numbers, most of which stay as they are in the next version.
func (m *model) text(i, version int) []byte {
	r := rand.New(rand.NewPCG(2026, uint64(i)))
	length := int(r.ExpFloat64() * float64(m.mean))
	var lines [][]byte
	for n := 0; n < length; {
		l := textLine(r)
		lines, n = append(lines, l), n+len(l)
	}
	lines = append(lines, textLine(r))
	for v := range version {
		r := rand.New(rand.NewPCG(uint64(v+1), uint64(i)))
		lines[r.IntN(len(lines))] = textLine(r)
	}
	return bytes.Join(lines, nil)
}

func textLine(r *rand.Rand) []byte {
	word := func() string { return words[r.IntN(len(words))] }
	return fmt.Appendf(nil, "%s_%s = %s %d # %s %s\n", word(), word(), word(), r.IntN(1<<20), word(), word())
}

var words = []string{"server", "listen", "address", "timeout", "user", "group", "path", "log", "level", "cache",
	"size", "limit", "retry", "proxy", "host", "port", "ssl", "cert", "key", "root", "index", "module", "option",
	"enable", "backup", "mirror", "queue", "worker", "memory", "socket", "domain", "zone"}

// all calls visit with each file in its first version.
func (m *model) all(visit func(node) error) error {
	for _, n := range m.fixed() {
		if err := visit(n); err != nil {
			return err
		}
	}
	for i := range m.variable() {
		if err := visit(m.file(i, 0)); err != nil {
			return err
		}
	}
	return nil
}

// write makes the first version of the configuration as a plain directory.
func (m *model) write(dir string) error {
	return m.all(func(n node) error {
		path := filepath.Join(dir, n.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if n.mode == link {
			return os.Symlink(string(n.data), path)
		}
		perm := os.FileMode(0o644)
		if n.mode == executable {
			perm = 0o755
		}
		return os.WriteFile(path, n.data, perm)
	})
}
