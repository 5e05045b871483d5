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
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"github.com/google/go-cmp/cmp"
)

// killswitch checks the state of one as the etch server sees it.
func wantKillswitch(b tagtest.Base, on bool, message string) {
	b.Helper()
	s, err := tagging.Killswitch{Path: b.Killswitch()}.Status()
	if err != nil || s.On != on || s.Message != message || s.On == s.Since.IsZero() {
		b.Errorf("killswitch is %+v, %v; want on=%t with message %q", s, err, on, message)
	}
}

// only checks that nothing stands in the base but what is named.
func wantOnly(b tagtest.Base, names ...string) {
	b.Helper()
	entries, err := os.ReadDir(b.Path)
	b.Must(err)
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
	b := tagtest.New(t)
	k := tagging.Killswitch{Path: b.Killswitch()}
	wantKillswitch(b, false, "")
	b.Must(k.Off())
	turnOn(b, k, "")
	wantKillswitch(b, true, "")
	turnOn(b, k, "a bad commit\nsee ticket 4711")
	wantKillswitch(b, true, "a bad commit\nsee ticket 4711")
	turnOn(b, k, "")
	wantKillswitch(b, true, "a bad commit\nsee ticket 4711")
	wantOnly(b, "killswitch")
	b.Must(k.Off())
	wantKillswitch(b, false, "")
	turnOn(b, k, "again\n")
	wantKillswitch(b, true, "again")
	wantOnly(b, "killswitch")
}

// turnOn turns a killswitch on, and returns what it was before.
func turnOn(b tagtest.Base, k tagging.Killswitch, message string) tagging.KillswitchState {
	b.Helper()
	found, err := k.On(message)
	b.Must(err)
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
			b := tagtest.New(t)
			k := tagging.Killswitch{Path: b.Killswitch()}
			if found := turnOn(b, k, ""); found.On {
				t.Errorf("it was not on, but %+v is found", found)
			}
			b.Write("killswitch", c.first)
			at := time.Date(2026, 11, 22, 12, 10, 0, 123456789, time.UTC)
			b.Must(os.Chtimes(b.Killswitch(), at, at))
			b.Must(os.Chown(b.Killswitch(), 65534, 65534))
			want := tagging.KillswitchState{On: true, Message: strings.TrimSuffix(c.first, "\n"), Since: at, Owner: 65534}
			if diff := cmp.Diff(want, turnOn(b, k, c.added)); diff != "" {
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
		b := tagtest.New(t)
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
	b := tagtest.New(t)
	b.Write("killswitch", "by hand\n")
	b.Must(os.Chmod(b.Killswitch(), 0o600))
	turnOn(b, tagging.Killswitch{Path: b.Killswitch()}, "message")
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
		turnOn(b, tagging.Killswitch{Path: b.Killswitch()}, message)
		info, err := os.Lstat(b.Killswitch())
		if err != nil || info.Mode() != 0o644 {
			t.Errorf("with message %q: %v, %v", message, info.Mode(), err)
		}
	}
}

// newBaseWithUmask makes a base as usual while files are made with another umask.
func newBaseWithUmask(t testing.TB, umask int) tagtest.Base {
	defer syscall.Umask(umask)
	syscall.Umask(0o022)
	return tagtest.New(t)
}

func TestTheKillswitchIsThereAtEveryStepOfANewMessage(t *testing.T) {
	for name, other := range map[string]string{"one name": "", "two names": "other"} {
		b := tagtest.New(t)
		turnOn(b, tagging.Killswitch{Path: b.Killswitch()}, "old")
		if other != "" {
			b.Must(os.Link(b.Killswitch(), b.Join(other)))
		}
		k := tagging.Killswitch{Path: b.Killswitch(), Step: func(string) error {
			s, err := tagging.Killswitch{Path: b.Killswitch()}.Status()
			if err != nil || s.Message != "old" && s.Message != "old\nnew" {
				t.Errorf("%s: %+v, %v", name, s, err)
			}
			return nil
		}}
		turnOn(b, k, "new")
	}
}

func TestTheKillswitchIsOnAlthoughItsMessageFails(t *testing.T) {
	full := errors.New("no space left on device")
	for _, label := range []string{
		"chmod killswitch", "sync base", "write killswitch message", "sync killswitch message", "date killswitch",
	} {
		b := tagtest.New(t)
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
		wantOnly(b, "killswitch")
	}
}

func TestTheKillswitchIsNotSaidToBeOnIfItCannotBeMade(t *testing.T) {
	b := tagtest.New(t)
	fault := errors.New("read-only file system")
	k := tagging.Killswitch{Path: b.Killswitch(), Step: func(string) error { return fault }}
	if _, err := k.On("x"); !errors.Is(err, fault) || errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("on: %v", err)
	}
	wantKillswitch(b, false, "")
	k = tagging.Killswitch{Path: filepath.Join(b.Path, "absent", "killswitch")}
	if _, err := k.On(""); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("without a base: %v", err)
	}
}

func TestTheKillswitchStaysOnIfItCannotBeRemoved(t *testing.T) {
	b := tagtest.New(t)
	turnOn(b, tagging.Killswitch{Path: b.Killswitch()}, "x")
	fault := errors.New("fault")
	k := tagging.Killswitch{Path: b.Killswitch(), Step: func(string) error { return fault }}
	if err := k.Off(); !errors.Is(err, fault) {
		t.Errorf("off: %v", err)
	}
	wantKillswitch(b, true, "x")
}

func TestALinkInThePlaceOfTheKillswitchIsReplacedAndNeverFollowed(t *testing.T) {
	for _, message := range []string{"", "message"} {
		for name, target := range map[string]string{
			"file": "trunk/motd", "directory": "trunk", "nowhere": "trunk/absent", "itself": "killswitch",
		} {
			b := tagtest.New(t)
			b.Write("trunk/motd", "untouched")
			b.Link(target, "killswitch")
			turnOn(b, tagging.Killswitch{Path: b.Killswitch()}, message)
			wantKillswitch(b, true, message)
			if info, err := os.Lstat(b.Killswitch()); err != nil || info.Mode() != 0o644 {
				t.Errorf("link to %s, message %q: %v, %v", name, message, info.Mode(), err)
			}
			if data, err := os.ReadFile(b.Join("trunk/motd")); string(data) != "untouched" {
				t.Errorf("link to %s, message %q: its target has become %q, %v", name, message, data, err)
			}
			wantOnly(b, "killswitch")
			if _, err := os.Lstat(b.Join("trunk/absent")); err == nil {
				t.Error("the target of a dangling link was made")
			}
		}
	}
}

func TestWhatHasAnotherNameIsNotWrittenTo(t *testing.T) {
	b := tagtest.New(t)
	b.Write("trunk/motd", "untouched")
	b.Must(os.Link(b.Join("trunk/motd"), b.Killswitch()))
	turnOn(b, tagging.Killswitch{Path: b.Killswitch()}, "message")
	if data, err := os.ReadFile(b.Join("trunk/motd")); string(data) != "untouched" {
		t.Errorf("the other name now has %q, %v", data, err)
	}
	wantKillswitch(b, true, "untouched\nmessage")
	wantOnly(b, "killswitch")
}

func TestAFifoInThePlaceOfTheKillswitchIsReplaced(t *testing.T) {
	b := tagtest.New(t)
	b.Must(syscall.Mkfifo(b.Killswitch(), 0o644))
	turnOn(b, tagging.Killswitch{Path: b.Killswitch()}, "message")
	wantKillswitch(b, true, "message")
}

func TestKillswitchStatus(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	for name, c := range map[string]struct {
		make    func(tagtest.Base)
		on      bool
		message string
	}{
		"empty":         {func(b tagtest.Base) { b.Write("killswitch", "") }, true, ""},
		"by hand":       {func(b tagtest.Base) { b.Write("killswitch", "a\nb\n\n") }, true, "a\nb\n"},
		"directory":     {func(b tagtest.Base) { b.Mkdir("killswitch") }, true, ""},
		"fifo":          {func(b tagtest.Base) { b.Must(syscall.Mkfifo(b.Killswitch(), 0o644)) }, true, ""},
		"link":          {func(b tagtest.Base) { b.Write("message", "m"); b.Link("message", "killswitch") }, true, "m"},
		"dangling link": {func(b tagtest.Base) { b.Link("nowhere", "killswitch") }, false, ""},
		"long":          {func(b tagtest.Base) { b.Write("killswitch", long) }, true, long[:64<<10]},
	} {
		t.Run(name, func(t *testing.T) {
			b := tagtest.New(t)
			c.make(b)
			wantKillswitch(b, c.on, c.message)
		})
	}
}

func TestKillswitchSince(t *testing.T) {
	b := tagtest.New(t)
	b.Write("killswitch", "")
	at := time.Date(2026, 11, 22, 12, 10, 0, 0, time.UTC)
	b.Must(os.Chtimes(b.Killswitch(), at, at))
	if s, err := (tagging.Killswitch{Path: b.Killswitch()}).Status(); err != nil || !s.Since.Equal(at) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAnUnreadableKillswitchIsOn(t *testing.T) {
	b := tagtest.New(t)
	b.Write("killswitch", "")
	b.Close("killswitch")
	b.AsNobody(func() {
		if s, err := (tagging.Killswitch{Path: b.Killswitch()}).Status(); !s.On || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

func TestADirectoryInThePlaceOfTheKillswitch(t *testing.T) {
	b := tagtest.New(t)
	b.Mkdir("killswitch")
	k := tagging.Killswitch{Path: b.Killswitch()}
	turnOn(b, k, "")
	if _, err := k.On("message"); !errors.Is(err, tagging.ErrKillswitchMessage) {
		t.Errorf("on with a message: %v", err)
	}
	if err := k.Off(); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("off: %v", err)
	}
	wantOnly(b, "killswitch")
	wantKillswitch(b, true, "")
}

func TestOffRemovesALinkAndNotWhatItPointsTo(t *testing.T) {
	for _, target := range []string{"trunk/motd", "trunk", "nowhere"} {
		b := tagtest.New(t)
		b.Write("trunk/motd", "m")
		b.Link(target, "killswitch")
		b.Must(tagging.Killswitch{Path: b.Killswitch()}.Off())
		wantOnly(b)
		if _, err := os.Stat(b.Join("trunk/motd")); err != nil {
			t.Error(err)
		}
	}
}

func TestOffSweepsCopiesOfDeadRuns(t *testing.T) {
	b := tagtest.New(t)
	b.Write(".killswitch-123", "half a mess")
	b.Must(tagging.Killswitch{Path: b.Killswitch()}.Off())
	wantOnly(b)
}
