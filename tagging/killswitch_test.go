package tagging_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	b.turnOn(k, "")
	b.killswitch(true, "")
	b.turnOn(k, "a bad commit\nsee ticket 4711")
	b.killswitch(true, "a bad commit\nsee ticket 4711")
	b.turnOn(k, "")
	b.killswitch(true, "a bad commit\nsee ticket 4711")
	b.only("killswitch")
	b.must(k.Off())
	b.killswitch(false, "")
	b.turnOn(k, "again\n")
	b.killswitch(true, "again")
	b.only("killswitch")
}

// turnOn turns a killswitch on, and returns what it was before.
func (b base) turnOn(k tagging.Killswitch, message string) tagging.KillswitchState {
	b.Helper()
	found, err := k.On(message)
	b.must(err)
	return found
}

func TestALaterMessageIsAddedAndSaysWhoWasFirst(t *testing.T) {
	for name, c := range map[string]struct{ first, added, want string }{
		"another":              {"a bad commit\n", "me too", "a bad commit\nme too"},
		"none before":          {"", "a bad commit", "a bad commit"},
		"the same":             {"a bad commit\n", "a bad commit", "a bad commit"},
		"a part of the first":  {"a bad commit\n", "commit", "a bad commit\ncommit"},
		"a beginning of it":    {"a bad commit\n", "a bad", "a bad commit\na bad"},
		"without its line end": {"a bad com", "a bad commit", "a bad com\na bad commit"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBase(t)
			k := tagging.Killswitch{Path: b.Killswitch()}
			if found := b.turnOn(k, ""); found.On {
				t.Errorf("it was not on, but %+v is found", found)
			}
			b.write("killswitch", c.first)
			at := time.Date(2026, 11, 22, 12, 10, 0, 123456789, time.UTC)
			b.must(os.Chtimes(b.Killswitch(), at, at))
			b.must(os.Chown(b.Killswitch(), 65534, 65534))
			want := tagging.KillswitchState{On: true, Message: strings.TrimSuffix(c.first, "\n"), Since: at, Owner: 65534}
			if diff := cmp.Diff(want, b.turnOn(k, c.added)); diff != "" {
				t.Errorf("what it found (-want +got):\n%s", diff)
			}
			want.Message = c.want
			got, err := k.Status()
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("afterwards, %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestOfMessagesThatComeAtTheSameTimeNoneIsLost(t *testing.T) {
	for range 20 {
		b := newBase(t)
		k := tagging.Killswitch{Path: b.Killswitch()}
		var want []string
		var all sync.WaitGroup
		for i := range 10 {
			message := fmt.Sprintf("message %d", i)
			want = append(want, message)
			all.Go(func() {
				if _, err := k.On(message); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		s, err := k.Status()
		got := strings.Split(s.Message, "\n")
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatalf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestAKillswitchMadeByHandBecomesReadableForTheServer(t *testing.T) {
	b := newBase(t)
	b.write("killswitch", "by hand\n")
	b.must(os.Chmod(b.Killswitch(), 0o600))
	b.turnOn(tagging.Killswitch{Path: b.Killswitch()}, "message")
	info, err := os.Lstat(b.Killswitch())
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestTheServersUserCanReadTheKillswitchWhateverTheUmask(t *testing.T) {
	old := syscall.Umask(0o777)
	defer syscall.Umask(old)
	for _, message := range []string{"", "message"} {
		b := newBaseWithUmask(t, 0o777)
		b.turnOn(tagging.Killswitch{Path: b.Killswitch()}, message)
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
	for name, other := range map[string]string{"one name": "", "two names": "other"} {
		b := newBase(t)
		b.turnOn(tagging.Killswitch{Path: b.Killswitch()}, "old")
		if other != "" {
			b.must(os.Link(b.Killswitch(), b.path(other)))
		}
		k := tagging.Killswitch{Path: b.Killswitch(), Step: func(string) error {
			s, err := tagging.Killswitch{Path: b.Killswitch()}.Status()
			if err != nil || s.Message != "old" && s.Message != "old\nnew" {
				t.Errorf("%s: %+v, %v", name, s, err)
			}
			return nil
		}}
		b.turnOn(k, "new")
	}
}

func TestTheKillswitchIsOnAlthoughItsMessageFails(t *testing.T) {
	full := errors.New("no space left on device")
	for _, label := range []string{
		"chmod killswitch", "sync base", "write killswitch message", "sync killswitch message", "date killswitch",
	} {
		b := newBase(t)
		k := tagging.Killswitch{Path: b.Killswitch(), Step: func(l string) error {
			if l == label {
				return full
			}
			return nil
		}}
		_, err := k.On("message")
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
	if _, err := k.On("x"); !errors.Is(err, fault) || errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("on: %v", err)
	}
	b.killswitch(false, "")
	k = tagging.Killswitch{Path: filepath.Join(b.Base, "absent", "killswitch")}
	if _, err := k.On(""); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("without a base: %v", err)
	}
}

func TestTheKillswitchStaysOnIfItCannotBeRemoved(t *testing.T) {
	b := newBase(t)
	b.turnOn(tagging.Killswitch{Path: b.Killswitch()}, "x")
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
			b.turnOn(tagging.Killswitch{Path: b.Killswitch()}, message)
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

func TestWhatHasAnotherNameIsNotWrittenTo(t *testing.T) {
	b := newBase(t)
	b.write("trunk/motd", "untouched")
	b.must(os.Link(b.path("trunk/motd"), b.Killswitch()))
	b.turnOn(tagging.Killswitch{Path: b.Killswitch()}, "message")
	if data, err := os.ReadFile(b.path("trunk/motd")); string(data) != "untouched" {
		t.Errorf("the other name now has %q, %v", data, err)
	}
	b.killswitch(true, "untouched\nmessage")
	b.only("killswitch")
}

func TestAFifoInThePlaceOfTheKillswitchIsReplaced(t *testing.T) {
	b := newBase(t)
	b.must(syscall.Mkfifo(b.Killswitch(), 0o644))
	b.turnOn(tagging.Killswitch{Path: b.Killswitch()}, "message")
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
	b.turnOn(k, "")
	if _, err := k.On("message"); !errors.Is(err, tagging.ErrKillswitchMessage) {
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

func TestOffSweepsCopiesOfDeadRuns(t *testing.T) {
	b := newBase(t)
	b.write(".killswitch-123", "half a mess")
	b.must(tagging.Killswitch{Path: b.Killswitch()}.Off())
	b.only()
}
