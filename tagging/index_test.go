package tagging_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/google/go-cmp/cmp"
)

func TestReadIndex(t *testing.T) {
	b := newBase(t)
	elsewhere := t.TempDir()
	b.mkdir("tags/etchautotag-20261122-1000")
	b.mkdir("tags/etchautotag-20261122-0900")
	b.mkdir("tags/etchautotag-20261122-0930") // unaligned, and a tag all the same
	b.link("etchautotag-20261122-0900", "tags/etchautotag-20261122-0700")
	b.link(elsewhere, "tags/etchautotag-20261122-0800")
	b.write("tags/etchautotag-20261122-1100", "a file")
	b.link("nowhere", "tags/etchautotag-20261122-1200")
	b.link("etchautotag-20261122-1100", "tags/etchautotag-20261122-1300")
	b.link("etchautotag-20261122-1400", "tags/etchautotag-20261122-1400")
	b.mkdir("tags/etchautotag-20261322-0900")
	b.mkdir("tags/newtag1234")
	b.mkdir("tags/release 7")
	x := b.index()
	var tags, links []string
	for _, tag := range x.Tags {
		name := strings.TrimPrefix(tag.Name, "etchautotag-20261122-")
		tags = append(tags, name)
		if tag.Link {
			links = append(links, name)
		}
		if tagging.Name(tag.Time) != tag.Name || x.Find(tag.Name) != tag {
			t.Errorf("%s has the time %s", tag.Name, tag.Time)
		}
		if _, ok, err := tag.Header(); ok || err != nil {
			t.Errorf("%s has a header: %t, %v", tag.Name, ok, err)
		}
	}
	if diff := cmp.Diff([]string{"0700", "0800", "0900", "0930", "1000"}, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"0700", "0800"}, links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"etchautotag-20261122-1100", "etchautotag-20261122-1200", "etchautotag-20261122-1300",
		"etchautotag-20261122-1400", "etchautotag-20261322-0900", "newtag1234", "release 7"}, x.Foreign); diff != "" {
		t.Errorf("foreign (-want +got):\n%s", diff)
	}
	for _, clock := range []string{"1100", "0600", "1500"} {
		name := "etchautotag-20261122-" + clock
		if tag := x.Find(name); tag != nil {
			t.Errorf("Find(%q) = %v", name, tag.Name)
		}
	}
}

func TestReadIndexOfATagsDirectoryThatIsALink(t *testing.T) {
	b := newBase(t)
	b.must(os.Rename(b.Tags(), b.path("elsewhere")))
	b.link("elsewhere", "tags")
	b.tag("etchautotag-20261122-0900", time.Now(), "")
	x := b.index()
	if len(x.Tags) != 1 {
		t.Fatalf("%d tags", len(x.Tags))
	}
	if _, ok, err := x.Tags[0].Header(); !ok || err != nil {
		t.Errorf("header: %t, %v", ok, err)
	}
}

func TestReadIndexWithoutTags(t *testing.T) {
	b := newBase(t)
	b.must(os.RemoveAll(b.Tags()))
	if x := b.index(); len(x.Tags)+len(x.Foreign) > 0 {
		t.Errorf("index is %+v", x)
	}
}

func TestReadIndexFailsIfTheTagsCannotBeRead(t *testing.T) {
	for name, spoil := range map[string]func(base){
		"file":          func(b base) { b.write("tags", "") },
		"dangling link": func(b base) { b.link("nowhere", "tags") },
		"link to file":  func(b base) { b.write("file", ""); b.link("file", "tags") },
		"loop":          func(b base) { b.link("tags", "tags") },
	} {
		b := newBase(t)
		b.must(os.RemoveAll(b.Tags()))
		spoil(b)
		if x, err := tagging.ReadIndex(b.Layout); err == nil || !strings.Contains(err.Error(), b.Tags()) {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
}

func TestReadIndexFailsWithoutPermission(t *testing.T) {
	b := newBase(t)
	b.close("tags")
	b.asNobody(func() {
		if x, err := tagging.ReadIndex(b.Layout); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("index is %+v, %v", x, err)
		}
	})
}

func TestAManifestWithoutPermissionIsAnErrorAndNotAbsent(t *testing.T) {
	const name = "etchautotag-20261122-0900"
	b := newBase(t)
	b.tag(name, time.Now(), "")
	b.close(b.Manifest(name))
	b.asNobody(func() {
		if _, ok, err := b.index().Find(name).Header(); ok || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("header: %t, %v", ok, err)
		}
	})
}

func TestHeadersOfAnIndex(t *testing.T) {
	const good, foreign, damaged, bare = "etchautotag-20261122-0100", "etchautotag-20261122-0200",
		"etchautotag-20261122-0300", "etchautotag-20261122-0400"
	b := newBase(t)
	published := time.Date(2026, 11, 22, 1, 0, 5, 0, time.UTC)
	b.tag(good, published, "a")
	b.tag(foreign, published, "b")
	b.tag(damaged, published, "c")
	b.mkdir("tags/" + bare)
	b.must(os.Rename(b.Manifest(good), b.Manifest(foreign)))
	b.tag(good, published, "a")
	b.must(os.Truncate(b.Manifest(damaged), 100))
	for name, want := range map[string]struct{ ok, fails bool }{
		good: {ok: true}, foreign: {fails: true}, damaged: {fails: true}, bare: {},
	} {
		h, ok, err := b.index().Find(name).Header()
		if ok != want.ok || (err != nil) != want.fails {
			t.Errorf("%s: %t, %v", name, ok, err)
		}
		if ok && (h.Name != name || !h.Published.Equal(published)) {
			t.Errorf("%s: %+v", name, h)
		}
		if err != nil && !strings.Contains(err.Error(), b.Manifest(name)) {
			t.Errorf("the error for %s does not say where: %v", name, err)
		}
	}
}

func TestAHeaderIsReadOnceAndOnlyWhenAskedFor(t *testing.T) {
	reads := 0
	tag, err := tagging.NewTag("etchautotag-20261122-0900", false, func() (*tagging.Header, bool, error) {
		reads++
		return &tagging.Header{Revision: "r"}, true, nil
	})
	if err != nil || reads != 0 {
		t.Fatal(err, reads)
	}
	for range 3 {
		if h, ok, err := tag.Header(); h.Revision != "r" || !ok || err != nil {
			t.Error(h, ok, err)
		}
	}
	if reads != 1 {
		t.Errorf("read %d times", reads)
	}
}

func BenchmarkReadIndexWithAllHeaders(b *testing.B) {
	base := newBase(b)
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for i := range 72 {
		base.tag(tagging.Name(at.Add(time.Duration(i)*time.Hour)), at, "")
	}
	for b.Loop() {
		for _, tag := range base.index().Tags {
			if _, ok, err := tag.Header(); !ok || err != nil {
				b.Fatal(err)
			}
		}
	}
}
