package tagging_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/google/go-cmp/cmp"
)

// killswitch checks the state of one as the etch server sees it.
func (b base) killswitch(on bool, message string) {
	b.Helper()
	s, err := tagging.Killswitch{Path: b.Killswitch()}.Status()
	if err != nil || s.On != on || s.Message != message || s.On == s.Since.IsZero() {
		b.Errorf("killswitch is %+v, %v; want on=%t with message %q", s, err, on, message)
	}
}

// only checks that nothing stands in the base but what is named.
func (b base) only(names ...string) {
	b.Helper()
	entries, err := os.ReadDir(b.Base)
	b.must(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	names = append(names, "tags", "trunk")
	slices.Sort(names)
	if diff := cmp.Diff(names, got); diff != "" {
		b.Errorf("the base (-want +got):\n%s", diff)
	}
}

func TestKillswitchOnAndOff(t *testing.T) {
	b := newBase(t)
	k := tagging.Killswitch{Path: b.Killswitch()}
	b.killswitch(false, "")
	b.must(k.Off())
	b.must(k.On(""))
	b.killswitch(true, "")
	b.must(k.On("a bad commit\nsee ticket 4711"))
	b.killswitch(true, "a bad commit\nsee ticket 4711")
	b.must(k.On(""))
	b.killswitch(true, "a bad commit\nsee ticket 4711")
	b.must(k.On("over soon\n"))
	b.killswitch(true, "over soon")
	b.only("killswitch")
	b.must(k.Off())
	b.killswitch(false, "")
	b.must(k.On("again"))
	b.killswitch(true, "again")
	b.only("killswitch")
}

func TestTheServersUserCanReadTheKillswitchWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o777)
	defer syscall.Umask(old)
	for _, message := range []string{"", "message"} {
		b := newBaseWithUmask(t, 0o777)
		b.must(tagging.Killswitch{Path: b.Killswitch()}.On(message))
		info, err := os.Lstat(b.Killswitch())
		if err != nil || info.Mode() != 0o644 {
			t.Errorf("with message %q: %v, %v", message, info.Mode(), err)
		}
	}
}

// newBaseWithUmask makes a base as usual while files are made with another umask.
func newBaseWithUmask(t testing.TB, umask int) base {
	defer syscall.Umask(umask)
	syscall.Umask(0o022)
	return newBase(t)
}

func TestTheKillswitchIsThereAtEveryStepOfANewMessage(t *testing.T) {
	b := newBase(t)
	b.must(tagging.Killswitch{Path: b.Killswitch()}.On("old"))
	inode := func() uint64 {
		info, err := os.Stat(b.Killswitch())
		b.must(err)
		return info.Sys().(*syscall.Stat_t).Ino
	}
	first := inode()
	k := tagging.Killswitch{Path: b.Killswitch(), Step: func(string) error {
		s, err := tagging.Killswitch{Path: b.Killswitch()}.Status()
		if err != nil || s.Message != "old" && s.Message != "new" {
			t.Errorf("%+v, %v", s, err)
		}
		return nil
	}}
	b.must(k.On("new"))
	if inode() == first {
		t.Error("the file was written in place, where a reader can see half of it")
	}
}

func TestTheKillswitchIsOnAlthoughItsMessageFails(t *testing.T) {
	full := errors.New("no space left on device")
	for _, label := range []string{
		"write killswitch message", "rename killswitch message", "chmod killswitch", "sync base",
	} {
		b := newBase(t)
		k := tagging.Killswitch{Path: b.Killswitch(), Step: func(l string) error {
			if l == label {
				return full
			}
			return nil
		}}
		err := k.On("message")
		if !errors.Is(err, tagging.ErrKillswitchMessage) || !errors.Is(err, full) {
			t.Errorf("%s: %v", label, err)
		}
		if s, err := k.Status(); !s.On || err != nil {
			t.Errorf("%s: %+v, %v", label, s, err)
		}
		b.only("killswitch")
	}
}

func TestTheKillswitchIsNotSaidToBeOnIfItCannotBeMade(t *testing.T) {
	b := newBase(t)
	fault := errors.New("read-only file system")
	k := tagging.Killswitch{Path: b.Killswitch(), Step: func(string) error { return fault }}
	if err := k.On("x"); !errors.Is(err, fault) || errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("on: %v", err)
	}
	b.killswitch(false, "")
	k = tagging.Killswitch{Path: filepath.Join(b.Base, "absent", "killswitch")}
	if err := k.On(""); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("without a base: %v", err)
	}
}

func TestTheKillswitchStaysOnIfItCannotBeRemoved(t *testing.T) {
	b := newBase(t)
	b.must(tagging.Killswitch{Path: b.Killswitch()}.On("x"))
	fault := errors.New("fault")
	k := tagging.Killswitch{Path: b.Killswitch(), Step: func(string) error { return fault }}
	if err := k.Off(); !errors.Is(err, fault) {
		t.Errorf("off: %v", err)
	}
	b.killswitch(true, "x")
}

func TestALinkInThePlaceOfTheKillswitchIsReplacedAndNeverFollowed(t *testing.T) {
	for _, message := range []string{"", "message"} {
		for name, target := range map[string]string{
			"file": "trunk/motd", "directory": "trunk", "nowhere": "trunk/absent", "itself": "killswitch",
		} {
			b := newBase(t)
			b.write("trunk/motd", "untouched")
			b.link(target, "killswitch")
			b.must(tagging.Killswitch{Path: b.Killswitch()}.On(message))
			b.killswitch(true, message)
			if info, err := os.Lstat(b.Killswitch()); err != nil || info.Mode() != 0o644 {
				t.Errorf("link to %s, message %q: %v, %v", name, message, info.Mode(), err)
			}
			if data, err := os.ReadFile(b.path("trunk/motd")); string(data) != "untouched" {
				t.Errorf("link to %s, message %q: its target has become %q, %v", name, message, data, err)
			}
			b.only("killswitch")
			if _, err := os.Lstat(b.path("trunk/absent")); err == nil {
				t.Error("the target of a dangling link was made")
			}
		}
	}
}

func TestAnotherNameOfTheKillswitchFileIsNotOverwritten(t *testing.T) {
	b := newBase(t)
	b.write("trunk/motd", "untouched")
	b.must(os.Link(b.path("trunk/motd"), b.Killswitch()))
	b.must(tagging.Killswitch{Path: b.Killswitch()}.On("message"))
	if data, err := os.ReadFile(b.path("trunk/motd")); string(data) != "untouched" {
		t.Errorf("the other name now has %q, %v", data, err)
	}
	b.killswitch(true, "message")
}

func TestKillswitchStatus(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		make    func(base)
		on      bool
		message string
	}{
		"empty":         {func(b base) { b.write("killswitch", "") }, true, ""},
		"by hand":       {func(b base) { b.write("killswitch", "a\nb\n\n") }, true, "a\nb\n"},
		"directory":     {func(b base) { b.mkdir("killswitch") }, true, ""},
		"fifo":          {func(b base) { b.must(syscall.Mkfifo(b.Killswitch(), 0o644)) }, true, ""},
		"link":          {func(b base) { b.write("message", "m"); b.link("message", "killswitch") }, true, "m"},
		"dangling link": {func(b base) { b.link("nowhere", "killswitch") }, false, ""},
		"long":          {func(b base) { b.write("killswitch", long) }, true, long[:64<<10]},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBase(t)
			c.make(b)
			b.killswitch(c.on, c.message)
		})
	}
}

func TestKillswitchSince(t *testing.T) {
	b := newBase(t)
	b.write("killswitch", "")
	at := time.Date(2026, 11, 22, 12, 10, 0, 0, time.UTC)
	b.must(os.Chtimes(b.Killswitch(), at, at))
	if s, err := (tagging.Killswitch{Path: b.Killswitch()}).Status(); err != nil || !s.Since.Equal(at) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAnUnreadableKillswitchIsOn(t *testing.T) {
	b := newBase(t)
	b.write("killswitch", "")
	b.close("killswitch")
	b.asNobody(func() {
		if s, err := (tagging.Killswitch{Path: b.Killswitch()}).Status(); !s.On || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestADirectoryInThePlaceOfTheKillswitch(t *testing.T) {
	b := newBase(t)
	b.mkdir("killswitch")
	k := tagging.Killswitch{Path: b.Killswitch()}
	b.must(k.On(""))
	if err := k.On("message"); !errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("on with a message: %v", err)
	}
	if err := k.Off(); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("off: %v", err)
	}
	b.only("killswitch")
	b.killswitch(true, "")
}

func TestOffRemovesALinkAndNotWhatItPointsTo(t *testing.T) {
	for _, target := range []string{"trunk/motd", "trunk", "nowhere"} {
		b := newBase(t)
		b.write("trunk/motd", "m")
		b.link(target, "killswitch")
		b.must(tagging.Killswitch{Path: b.Killswitch()}.Off())
		b.only()
		if _, err := os.Stat(b.path("trunk/motd")); err != nil {
			t.Error(err)
		}
	}
}

func TestOffSweepsMessagesOfDeadRuns(t *testing.T) {
	b := newBase(t)
	b.write(".killswitch-123", "half a mess")
	b.must(tagging.Killswitch{Path: b.Killswitch()}.Off())
	b.only()
}
