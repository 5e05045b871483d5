package tagging_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"github.com/etch/etchtag/tagstate"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func pinsOf(b tagtest.Base, text string) *tagging.Pins {
	b.Helper()
	b.Write("pins", text)
	p, err := tagging.LoadPins(b.Pins())
	b.Must(err)
	return p
}

func TestLoadPins(t *testing.T) {
	b := tagtest.New(t)
	p := pinsOf(b, "# a comment\n\nWeb1 tags/old\n web2\ttrunk  until tuesday\r\n-x trunk\n"+
		"WEB1 tags/release-7\nweb3\na;b trunk\n")
	from := func(line int) string { return fmt.Sprintf("pins:%d", line) }
	want := []tagging.Pin{
		{Host: "web1", Path: "tags/release-7", From: from(6)},
		{Host: "web2", Path: "trunk", From: from(4)},
		{Host: "web3", Path: "", From: from(7)},
	}
	if diff := cmp.Diff(want, p.All()); diff != "" {
		t.Errorf("pins (-want +got):\n%s", diff)
	}
	if pin, ok := p.Get("wEB1"); !ok || pin != want[0] {
		t.Errorf("Get = %+v, %t", pin, ok)
	}
	if pin, ok := p.Get("web4"); ok {
		t.Errorf("Get = %+v", pin)
	}
	var lines []int
	for _, w := range p.Warnings {
		lines = append(lines, w.Line)
	}
	if diff := cmp.Diff([]int{5, 8}, lines); diff != "" {
		t.Errorf("lines of warnings (-want +got):\n%s", diff)
	}
}

func TestLoadPinsOfAFileThatIsAbsentOrCannotBeRead(t *testing.T) {
	b := tagtest.New(t)
	p, err := tagging.LoadPins(b.Pins())
	if err != nil || len(p.All()) > 0 {
		t.Errorf("absent: %v, %v", p.All(), err)
	}
	b.Mkdir("pins")
	if _, err := tagging.LoadPins(b.Pins()); err == nil {
		t.Error("a directory is read as pins")
	}
	var none *tagging.Pins
	if _, ok := none.Get("a"); ok || none.All() != nil {
		t.Error("nil pins say something")
	}
}

func FuzzPins(f *testing.F) {
	f.Add([]byte("web1 trunk\nWEB1 tags/a b c\n# c\n-x y\n\xff\xfe \x00\r\nweb2"))
	f.Add([]byte("\ufeffa\u00a0b"))
	b := tagtest.New(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		b := tagtest.Base{TB: t, Base: b.Base}
		p := pinsOf(b, string(data))
		for _, pin := range p.All() {
			if err := tagging.ValidateHost(pin.Host); err != nil || pin.Host != strings.ToLower(pin.Host) {
				t.Errorf("a pin of %q", pin.Host)
			}
			if got, ok := p.Get(pin.Host); !ok || got != pin {
				t.Errorf("%+v is found as %+v", pin, got)
			}
			if err := b.CheckPath(pin.Path); err == nil && pin.Path != "trunk" && !strings.HasPrefix(pin.Path, "tags") &&
				strings.Trim(pin.Path, "./") != "" && !strings.Contains(pin.Path, "/") {
				t.Errorf("%q may be served", pin.Path)
			}
			b.TagOf(pin.Path)
		}
		for _, w := range p.Warnings {
			if strings.ContainsAny(w.Message, "\n\x00\x1b") {
				t.Errorf("the warning %q is not fit to be shown", w.Message)
			}
		}
	})
}

// manyPaths makes a base with all kinds of things that a pin can lead to.
func manyPaths(t testing.TB) tagtest.Base {
	b := tagtest.New(t)
	outside := t.TempDir()
	b.Mkdir("tags/etchautotag-20261122-0900/source")
	b.Mkdir("tags/release-7")
	b.Mkdir("tags/two words")
	b.Mkdir("tags/.etchtag/stage/x")
	b.Mkdir("orig")
	b.Write("tags/file", "")
	b.Mkdir(outside + "/dir")
	b.Link(outside, "tags/out")
	b.Link("../../..", "tags/release-7/up")
	b.Link(outside, "trunk/out")
	b.Link(".etchtag/stage", "tags/peek")
	b.Link("release-7", "tags/current")
	b.Link("../trunk", "tags/head")
	b.Link("nowhere", "tags/dangling")
	b.Link("loop", "tags/loop")
	b.Link("../file", "tags/release-7/file")
	return b
}

func checkPaths(t *testing.T, b tagtest.Base, reasons map[string]string) {
	t.Helper()
	for path, reason := range reasons {
		err := b.CheckPath(path)
		if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("CheckPath(%q) = %v, want %q", path, err, reason)
		}
	}
}

func TestCheckPath(t *testing.T) {
	checkPaths(t, manyPaths(t), map[string]string{
		"trunk":                                 "",
		"tags/etchautotag-20261122-0900":        "",
		"tags/etchautotag-20261122-0900/source": "",
		"tags/release-7/":                       "",
		"./tags//release-7":                     "",
		"tags/two words":                        "",
		"tags/current":                          "",
		"tags/head":                             "",
		"tags/release-7/../../trunk":            "",
		"orig":                                  "",
		"":                                      "no path",
		"/":                                     "absolute",
		"/etc":                                  "absolute",
		"..":                                    "climbs",
		"../x":                                  "climbs",
		"tags/../..":                            "climbs",
		"../etchserver/trunk":                   "climbs",
		"tags/out":                              "leads out of the base",
		"tags/out/dir":                          "leads out of the base",
		"tags/release-7/up":                     "leads out of the base",
		"tags/release-7/up/etchserver/trunk":    "",
		"tags/out/..":                           "leads out of the base",
		"trunk/out/dir":                         "leads out of the base",
		"tags/.etchtag":                         "unfinished",
		"tags/.etchtag/stage":                   "unfinished",
		"tags/.etchtag/stage/x":                 "unfinished",
		"tags/peek":                             "unfinished",
		"tags/peek/x":                           "unfinished",
		"tags/release-7/../.etchtag":            "unfinished",
		"tags/file":                             "not a directory",
		"tags/release-7/file":                   "not a directory",
		"tags/file/x":                           "not a directory",
		"tags/dangling":                         "no such directory",
		"tags/etchautotag-20261122-1000":        "no such directory",
		"tags/loop":                             "too many levels",
		"trunk ":                                "blanks",
		" trunk":                                "blanks",
		"trunk\n":                               "blanks",
		"tru\nnk":                               "control",
		"trunk\r":                               "blanks",
		"tags/\x00":                             "control",
		"tags/\x1b[2J":                          "control",
		"\u00a0trunk":                           "blanks",
	})
}

func TestCheckPathWhereTagsAndWorkingCopyAreLinksOutOfTheBase(t *testing.T) {
	b := manyPaths(t)
	elsewhere := t.TempDir()
	b.Must(os.Rename(b.Tags(), elsewhere+"/tags"))
	b.Must(os.Rename(b.Join("trunk"), elsewhere+"/checkout"))
	b.Link(elsewhere+"/tags", "tags")
	b.Link(elsewhere+"/checkout", "wc")
	b.WorkingCopy = "wc"
	b.Mkdir(elsewhere + "/tags-old")
	b.Link("../tags-old", "tags/neighbour")
	checkPaths(t, b, map[string]string{
		"wc":                    "",
		"tags/release-7":        "",
		"tags/current":          "",
		"tags/peek":             "unfinished",
		"tags/.etchtag/stage/x": "unfinished",
		"tags/out":              "leads out of the base",
		"wc/out":                "leads out of the base",
		"tags/neighbour":        "leads out of the base",
		"tags/..":               "leads out of the base",
		"tags/../checkout":      "", // through the link, that is the working copy
		"trunk":                 "no such directory",
	})
}

func TestTagOf(t *testing.T) {
	const tag = "etchautotag-20261122-0900"
	b := manyPaths(t)
	b.Link(tag, "tags/latest")
	b.Link("tags/"+tag+"/source", "shortcut")
	const gone = "etchautotag-20261122-1100"
	b.Link(gone, "tags/gone")
	b.Link("../tags/gone/source", "trunk/gone")
	b.Link(b.Tags()+"/"+gone, "absolute")
	for path, want := range map[string]string{
		"tags/" + tag:                    tag,
		"tags/" + tag + "/source":        tag,
		"tags/" + tag + "/absent":        tag,
		"tags/latest":                    tag,
		"shortcut":                       tag,
		b.Tags() + "/latest":             tag,
		"tags/etchautotag-20261122-1000": "etchautotag-20261122-1000",
		"tags/gone":                      gone,
		"tags/gone/source":               gone,
		"trunk/gone":                     gone,
		"absolute":                       gone,
		"tags/loop":                      "",
		"tags/loop/" + tag:               "",
		"tags/dangling/" + tag:           "",
		"./tags/release-7/../" + tag:     tag,
		"tags/release-7":                 "",
		"tags":                           "",
		"trunk":                          "",
		"tags/etchautotag-20261322-1000": "",
		"":                               "",
		"../" + tag:                      "",
		"tags/.etchtag/manifests/" + tag: "",
	} {
		if got := b.TagOf(path); got != want {
			t.Errorf("TagOf(%q) = %q, want %q", path, got, want)
		}
	}
}

// fakeInventory knows some hosts.
type fakeInventory struct {
	answers map[string]inventory.Answer
	err     error
	asked   []string
}

func (f *fakeInventory) Name() string { return "fake" }

func (f *fakeInventory) Lookup(_ context.Context, host string) (inventory.Answer, error) {
	f.asked = append(f.asked, host)
	return f.answers[host], f.err
}

func (f *fakeInventory) Hosts(_ context.Context, yield func(string, inventory.Answer) bool) error {
	for host, a := range f.answers {
		if !yield(host, a) {
			break
		}
	}
	return f.err
}

func inventoryPin(path string) *fakeInventory {
	return &fakeInventory{answers: map[string]inventory.Answer{"h": {Known: true, Pin: path, PinFrom: "fake:1"}}}
}

// decideAt is what host h gets, whose ring has a delay of 4 hours.
func decideAt(b tagtest.Base, now time.Time, inventories []inventory.Inventory, pins string) *tagging.Decision {
	r := tagging.Resolver{Base: b.Base, Rings: tagging.Rings{{Name: "rest", Delay: 4 * time.Hour}}, Index: b.Index()}
	hosts := tagging.Hosts{Moment: r.At(now), Pins: pinsOf(b, pins), Inventories: inventories}
	return hosts.Decide(context.Background(), "H")
}

func TestBumps(t *testing.T) {
	b := tagtest.New(t)
	b.Mkdir("tags/etchautotag-20261121-0000")
	now := time.Date(2026, 11, 22, 13, 0, 30, 0, time.UTC)
	for _, c := range []struct{ pin, path, why string }{
		{"trunk-20261122-1300", "trunk", ""},
		{"trunk-20261122-0901", "trunk", ""},
		{"trunk-20261122-1301", "tags/etchautotag-20261121-0000", "has not begun yet"},
		{"trunk-20261122-0900", "tags/etchautotag-20261121-0000", "is over"},
		{"trunk-20251122-1200", "tags/etchautotag-20261121-0000", "is over"},
		{"trunk-20260230-0900", "", "no date and time"},
		{"trunk-20261322-0900", "", "no date and time"},
		{"trunk-20261122-2400", "", "no date and time"},
		{"trunk-20261122-0960", "", "no date and time"},
		{"trunk-20261100-0900", "", "no date and time"},
		{"trunk-2026112-0900", "", "no such directory"},
		{"trunk-20261122-09000", "", "no such directory"},
		{"trunk-20261122x0900", "", "no such directory"},
		{"trunk-", "", "no such directory"},
	} {
		d := decideAt(b, now, nil, "h "+c.pin)
		said := d.Failure + strings.Join(d.Notes, " ")
		if d.Path != c.path || (d.Path == "") != (d.Err != nil) || !strings.Contains(said, c.why) ||
			!strings.Contains(said, c.pin) || !strings.Contains(said, "pins:1") {
			t.Errorf("%s: %q (%s) %s", c.pin, d.Path, d.Direction, said)
		}
	}
}

func TestABumpEndsExactlyWhenItIsAsOldAsTheDelay(t *testing.T) {
	b := tagtest.New(t)
	stamp := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		now   time.Time
		holds bool
	}{
		{stamp.Add(-1), false}, {stamp, true}, {stamp.Add(4*time.Hour - 1), true}, {stamp.Add(4 * time.Hour), false},
	} {
		if d := decideAt(b, c.now, nil, "h trunk-20261122-0900"); (d.Path == "trunk") != c.holds {
			t.Errorf("at %s: %q %s", c.now, d.Path, d.Failure)
		}
	}
}

func TestABumpIsToTheWorkingCopyWhateverItsName(t *testing.T) {
	b := tagtest.New(t)
	b.WorkingCopy = "checkout"
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	if d := decideAt(b, now, nil, "h trunk-20261122-0900"); d.Err == nil {
		t.Errorf("without a working copy: %q", d.Path)
	}
	b.Mkdir("checkout")
	if d := decideAt(b, now, nil, "h trunk-20261122-0900"); d.Path != "checkout" || d.Direction != tagging.Bumped {
		t.Errorf("%q (%s) %s", d.Path, d.Direction, d.Failure)
	}
}

func TestPinsInOrder(t *testing.T) {
	const over, future = "trunk-20261120-0900", "trunk-20261130-0900"
	b := tagtest.New(t)
	b.Mkdir("tags/etchautotag-20261121-0000")
	b.Mkdir("tags/a")
	b.Mkdir("tags/b")
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		file        string
		inventories []string
		path        string
		direction   tagging.Direction
	}{
		{"", nil, "tags/etchautotag-20261121-0000", tagging.Back},
		{"h tags/a", []string{"tags/b"}, "tags/a", tagging.Pinned},
		{"g tags/a", []string{"tags/b"}, "tags/b", tagging.Pinned},
		{"g tags/a", []string{"tags/b", "tags/a"}, "tags/b", tagging.Pinned},
		{"h " + over, []string{future, "tags/b"}, "tags/b", tagging.Pinned},
		{"h " + over, []string{future}, "tags/etchautotag-20261121-0000", tagging.Back},
		{"h tags/absent", []string{"tags/b"}, "", tagging.Pinned},
		{"h", []string{"tags/b"}, "", tagging.Pinned},
		{"h " + over, []string{"trunk-20261322-0900", "tags/b"}, "", tagging.Bumped},
		{"h trunk-20261122-0800", []string{"tags/b"}, "trunk", tagging.Bumped},
	} {
		var inventories []inventory.Inventory
		for _, pin := range c.inventories {
			inventories = append(inventories, inventoryPin(pin))
		}
		d := decideAt(b, now, inventories, c.file)
		if d.Path != c.path || d.Direction != c.direction || (d.Err == nil) != (c.path != "") {
			t.Errorf("%q, then %q: %q (%s) %s", c.file, c.inventories, d.Path, d.Direction, d.Failure)
		}
		if d.Ring != "rest" || d.Nominal != "etchautotag-20261122-0500" || d.Delay != 4*time.Hour {
			t.Errorf("%q, then %q: ring %s, nominal %s", c.file, c.inventories, d.Ring, d.Nominal)
		}
	}
}

func TestAPinThatFailsNamesItselfAndWhereItIsWritten(t *testing.T) {
	b := tagtest.New(t)
	d := decideAt(b, time.Now(), []inventory.Inventory{inventoryPin("../x")}, "")
	for _, part := range []string{`"../x"`, "fake:1", "climbs"} {
		if !strings.Contains(d.Failure, part) {
			t.Errorf("%q does not name %s", d.Failure, part)
		}
	}
}

func TestAPinToATagThatIsBadHoldsAndSaysSo(t *testing.T) {
	b := tagtest.New(t)
	b.Mkdir("tags/" + name("09:00"))
	r := tagging.Resolver{Base: b.Base, Rings: tagging.Rings{{Name: "rest"}}, Index: b.Index(),
		States: tagstate.Merge(tagstate.Parse("f", []byte(name("09:00")+" bad"), tag.Cadence{}.Valid))}
	hosts := tagging.Hosts{Moment: r.At(at("10:00")), Pins: pinsOf(b, "h tags/"+name("09:00"))}
	d := hosts.Decide(context.Background(), "h")
	if d.Tag() != name("09:00") || !strings.Contains(strings.Join(d.Notes, " "), "is bad (f:1)") {
		t.Errorf("%q, %q, %s", d.Path, d.Notes, d.Failure)
	}
}

func TestPinnedTags(t *testing.T) {
	const one, two = "etchautotag-20261122-0100", "etchautotag-20261122-0200"
	b := tagtest.New(t)
	b.Mkdir("tags/" + one)
	b.Mkdir("tags/" + two)
	b.Link(two, "tags/release-7")
	inv := &fakeInventory{answers: map[string]inventory.Answer{
		"a": {Pin: "tags/" + one}, "b": {Pin: "tags/release-7"}, "c": {Pin: "trunk"}, "d": {Known: true},
		"z": {Pin: "tags/" + two},
	}}
	r := tagging.Resolver{Base: b.Base}
	hosts := tagging.Hosts{Moment: r.At(at("10:00")),
		Pins:        pinsOf(b, "z tags/"+two+"\na tags/"+two+"\nx trunk-20261122-0900\ny\n"),
		Inventories: []inventory.Inventory{struct{ inventory.Inventory }{}, inv}}
	got, err := hosts.PinnedTags(context.Background())
	want := map[string][]string{one: {"a"}, two: {"a", "b", "z"}}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	inv.err = errors.New("down")
	if _, err := hosts.PinnedTags(context.Background()); !errors.Is(err, inv.err) || !strings.Contains(err.Error(), "fake") {
		t.Errorf("with an inventory that fails: %v", err)
	}
}
