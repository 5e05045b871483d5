package tag_test

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"github.com/google/go-cmp/cmp"
)

func TestReadIndex(t *testing.T) {
	b := tagtest.New(t)
	elsewhere := t.TempDir()
	b.Mkdir("tags/etchautotag-20261122-1000")
	b.Mkdir("tags/etchautotag-20261122-0900")
	b.Mkdir("tags/etchautotag-20261122-0930") // unaligned, and a tag all the same
	b.Link("etchautotag-20261122-0900", "tags/etchautotag-20261122-0700")
	b.Link(elsewhere, "tags/etchautotag-20261122-0800")
	b.Write("tags/etchautotag-20261122-1100", "a file")
	b.Link("nowhere", "tags/etchautotag-20261122-1200")
	b.Link("etchautotag-20261122-1100", "tags/etchautotag-20261122-1300")
	b.Link("etchautotag-20261122-1400", "tags/etchautotag-20261122-1400")
	b.Mkdir("tags/etchautotag-20261322-0900")
	b.Mkdir("tags/newtag1234")
	b.Mkdir("tags/release 7")
	x := b.Index()
	var tags, links []string
	for _, g := range x.Tags {
		name := strings.TrimPrefix(g.Name, "etchautotag-20261122-")
		tags = append(tags, name)
		if g.Link {
			links = append(links, name)
		}
		if tag.Name(g.Time) != g.Name || x.Find(g.Name) != g {
			t.Errorf("%s has the time %s", g.Name, g.Time)
		}
		if _, ok, err := g.Header(); ok || err != nil {
			t.Errorf("%s has a header: %t, %v", g.Name, ok, err)
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
	b := tagtest.New(t)
	b.Must(os.Rename(b.Tags(), b.Join("elsewhere")))
	b.Link("elsewhere", "tags")
	b.Tag("etchautotag-20261122-0900", time.Now(), "")
	x := b.Index()
	if len(x.Tags) != 1 {
		t.Fatalf("%d tags", len(x.Tags))
	}
	if _, ok, err := x.Tags[0].Header(); !ok || err != nil {
		t.Errorf("header: %t, %v", ok, err)
	}
}

func TestReadIndexWithoutTags(t *testing.T) {
	b := tagtest.New(t)
	b.Must(os.RemoveAll(b.Tags()))
	if x := b.Index(); len(x.Tags)+len(x.Foreign) > 0 {
		t.Errorf("index is %+v", x)
	}
}

func TestReadIndexFailsIfTheTagsCannotBeRead(t *testing.T) {
	for name, spoil := range map[string]func(tagtest.Base){
		"file":          func(b tagtest.Base) { b.Write("tags", "") },
		"dangling link": func(b tagtest.Base) { b.Link("nowhere", "tags") },
		"link to file":  func(b tagtest.Base) { b.Write("file", ""); b.Link("file", "tags") },
		"loop":          func(b tagtest.Base) { b.Link("tags", "tags") },
	} {
		b := tagtest.New(t)
		b.Must(os.RemoveAll(b.Tags()))
		spoil(b)
		if x, err := tag.ReadIndex(b.Base); err == nil || !strings.Contains(err.Error(), b.Tags()) {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
}

func TestReadIndexFailsWithoutPermission(t *testing.T) {
	b := tagtest.New(t)
	b.Close("tags")
	b.AsNobody(func() {
		if x, err := tag.ReadIndex(b.Base); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("index is %+v, %v", x, err)
		}
	})
}

func TestAManifestWithoutPermissionIsAnErrorAndNotAbsent(t *testing.T) {
	const name = "etchautotag-20261122-0900"
	b := tagtest.New(t)
	b.Tag(name, time.Now(), "")
	b.Close(b.Manifest(name))
	b.AsNobody(func() {
		if _, ok, err := b.Index().Find(name).Header(); ok || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("header: %t, %v", ok, err)
		}
	})
}

func TestHeadersOfAnIndex(t *testing.T) {
	const good, foreign, damaged, bare = "etchautotag-20261122-0100", "etchautotag-20261122-0200",
		"etchautotag-20261122-0300", "etchautotag-20261122-0400"
	b := tagtest.New(t)
	published := time.Date(2026, 11, 22, 1, 0, 5, 0, time.UTC)
	b.Tag(good, published, "a")
	b.Tag(foreign, published, "b")
	b.Tag(damaged, published, "c")
	b.Mkdir("tags/" + bare)
	b.Must(os.Rename(b.Manifest(good), b.Manifest(foreign)))
	b.Tag(good, published, "a")
	b.Must(os.Truncate(b.Manifest(damaged), 100))
	for name, want := range map[string]struct{ ok, fails bool }{
		good: {ok: true}, foreign: {fails: true}, damaged: {fails: true}, bare: {},
	} {
		h, ok, err := b.Index().Find(name).Header()
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
	tag, err := tag.New("etchautotag-20261122-0900", false, func() (*tag.Header, bool, error) {
		reads++
		return &tag.Header{Revision: "r"}, true, nil
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
	base := tagtest.New(b)
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	for i := range 72 {
		base.Tag(tag.Name(at.Add(time.Duration(i)*time.Hour)), at, "")
	}
	for b.Loop() {
		for _, tag := range base.Index().Tags {
			if _, ok, err := tag.Header(); !ok || err != nil {
				b.Fatal(err)
			}
		}
	}
}
