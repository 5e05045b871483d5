package git

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
)

func TestAWorkingCopyOfAnotherKindOrUpstreamIsForeign(t *testing.T) {
	t.Parallel()
	repo := gittest.NewTestRepo(t)
	repo.Grow(1)
	c := cloned(t, repo.Dir)
	for _, row := range []struct {
		url     string
		foreign string // part of the reason
	}{
		{"", ""},
		{repo.Dir, ""},
		{repo.Dir + "/", ""},
		{"file://" + repo.Dir, ""},
		{"../" + filepath.Base(repo.Dir) + "x", "its upstream is"},
		{"https://user:hush@git.example.com/etch.git", "its upstream is"},
	} {
		reason, err := c.with(func(o *Options) { o.URL = row.url }).Foreign()
		if err != nil || (reason == "") != (row.foreign == "") || !strings.Contains(reason, row.foreign) {
			t.Errorf("%s: %q, %v; want %q", row.url, reason, err, row.foreign)
		}
		if strings.Contains(reason, "hush") {
			t.Errorf("the reason has the password: %s", reason)
		}
	}

	plain := t.TempDir()
	git := New(Options{Dir: plain, URL: repo.Dir})
	if reason, err := git.Foreign(); reason != "" || err != nil {
		t.Errorf("an empty directory is foreign: %q, %v", reason, err)
	}
	if err := os.Mkdir(filepath.Join(plain, ".svn"), 0o755); err != nil {
		t.Fatal(err)
	}
	if reason, err := git.Foreign(); reason == "" || err != nil {
		t.Errorf("a Subversion working copy is not foreign: %v", err)
	}
	if reason, err := git.At(filepath.Join(plain, "gone")).Foreign(); reason != "" || err != nil {
		t.Errorf("a directory that is not there is foreign: %q, %v", reason, err)
	}
}

func TestTwoSpellingsOfOneUpstreamAreTheSame(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		a, b string
		same bool
	}{
		{"git@example.com:etch.git", "ssh://git@example.com/etch", true},
		{"https://example.com/a/etch.git", "https://joe:x@EXAMPLE.com/a/etch/", true},
		{"https://example.com/a/etch.git", "git@example.com:a/etch.git", true},
		{"git://example.com/a", "git://example.com:9419/a", false},
		{"git://example.com/a", "git://example.com/b", false},
		{"https://example.com/a", "https://example.org/a", false},
	} {
		if got := sameUpstream(row.a, row.b, "/etc"); got != row.same {
			t.Errorf("%s and %s: same is %v", row.a, row.b, got)
		}
	}
}
