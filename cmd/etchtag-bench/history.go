package main

import (
	"fmt"
	"io"
	"math/rand/v2"
)

// history writes the commits of a model as git fast-import reads them. Times are fixed, so hashes are.
type history struct {
	*model
	random   *rand.Rand
	versions map[int]int // of the files that have been changed
	commits  int
}

func newHistory(m *model) *history {
	return &history{model: m, random: rand.New(rand.NewPCG(1, 2)), versions: map[int]int{}}
}

// all writes the whole history, from the commit that adds all files.
func (h *history) all(w io.Writer) error {
	h.begin(w)
	if err := h.model.all(func(n node) error { return n.writeTo(w) }); err != nil {
		return err
	}
	for h.commits < h.size.commits {
		h.begin(w)
		if err := h.changeFiles(w, 1+h.random.IntN(3)); err != nil {
			return err
		}
	}
	return nil
}

// change writes one more commit, which changes so many files of a repository that has the history until now.
func (h *history) change(w io.Writer, files int) error {
	h.begin(w)
	fmt.Fprintln(w, "from refs/heads/main^0")
	return h.changeFiles(w, files)
}

func (h *history) begin(w io.Writer) {
	const start = 1_767_225_600 // 2026-01-01 00:00 UTC
	h.commits++
	message := fmt.Sprintf("change %d", h.commits)
	fmt.Fprintf(w, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata %d\n%s\n",
		start+600*h.commits, len(message), message)
}

func (h *history) changeFiles(w io.Writer, files int) error {
	changed := map[int]bool{}
	for len(changed) < files {
		i := h.random.IntN(h.variable())
		if changed[i] {
			continue
		}
		changed[i] = true
		h.versions[i]++
		if err := h.file(i, h.versions[i]).writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

func (n node) writeTo(w io.Writer) error {
	_, err := fmt.Fprintf(w, "M %s inline %s\ndata %d\n%s\n", n.mode, n.path, len(n.data), n.data)
	return err
}
