package main

import (
	"bytes"
	"testing"
)

func TestAModelHasTheSizeThatItSays(t *testing.T) {
	s := sizes["small"]
	paths, bytes, links := map[string]bool{}, 0, 0
	err := newModel(s).all(func(n node) error {
		paths[n.path] = true
		bytes += len(n.data)
		if n.mode == link {
			links++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != s.files || links == 0 {
		t.Errorf("%d files, of which %d are links", len(paths), links)
	}
	if mean := bytes / s.files; mean < s.mean*9/10 || mean > s.mean*6/5 {
		t.Errorf("a file has %d bytes on the average, not some %d", mean, s.mean)
	}
}

func TestEveryDirectoryIsAnotherOneAndHasAFile(t *testing.T) {
	for name, s := range sizes {
		m := newModel(s)
		directories := map[string]bool{}
		for _, p := range m.paths {
			directories[p] = true
		}
		if len(directories) != s.dirs || m.variable() < s.dirs {
			t.Errorf("%s: %d directories, not %d, for %d files", name, len(directories), s.dirs, m.variable())
		}
	}
}

func TestAHistoryIsAlwaysTheSame(t *testing.T) {
	write := func() []byte {
		var b bytes.Buffer
		h := newHistory(newModel(sizes["small"]))
		if err := h.all(&b); err != nil {
			t.Fatal(err)
		}
		if err := h.change(&b, 10); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	first := write()
	if !bytes.Equal(first, write()) {
		t.Error("two histories of the same model differ")
	}
	if n := bytes.Count(first, []byte("\ncommitter ")); n != sizes["small"].commits+1 {
		t.Errorf("%d commits", n)
	}
}

func TestAVersionDiffersFromTheOneBefore(t *testing.T) {
	m := newModel(sizes["small"])
	for i := range m.variable() {
		if bytes.Equal(m.file(i, 1).data, m.file(i, 2).data) {
			t.Errorf("file %d is the same in versions 1 and 2", i)
		}
	}
}
