package wire

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// packets writes lines as a server does; an empty one is a flush.
func packets(lines ...string) string {
	var b []byte
	for _, line := range lines {
		if line == "" {
			b = append(b, "0000"...)
		} else {
			b = appendPacket(b, line)
		}
	}
	return string(b)
}

func TestAdvertisementsAreUnderstood(t *testing.T) {
	t.Parallel()
	a, b := plumbing.NewHash(gittest.HashA), plumbing.NewHash(gittest.HashB)
	for text, want := range map[string]any{
		packets(gittest.HashA+" HEAD\x00ofs-delta symref=HEAD:refs/heads/x agent=git/2\n", gittest.HashA+" refs/heads/x\n", gittest.HashB+" refs/heads/y", ""): RemoteRefs{
			Head: "x", Branches: map[string]plumbing.Hash{"x": a, "y": b}},
		packets("# service=git-upload-pack\n", "", gittest.HashA+" HEAD\x00\n", gittest.HashA+" refs/heads/x\n", gittest.HashA+" refs/heads/master\n", ""): RemoteRefs{
			Head: "master", Branches: map[string]plumbing.Hash{"x": a, "master": a}},
		packets(gittest.HashA+" refs/heads/x\x00", gittest.HashB+" refs/tags/1\n", gittest.HashA+" refs/tags/1^{}\n", ""): RemoteRefs{
			Branches: map[string]plumbing.Hash{"x": a}},
		packets(strings.Repeat("0", 40)+" capabilities^{}\x00agent=git/2\n", ""): RemoteRefs{Branches: map[string]plumbing.Hash{}},
		packets(""):                            RemoteRefs{Branches: map[string]plumbing.Hash{}},
		"":                                     errNoAnswer,
		packets(gittest.HashA + " HEAD\x00\n"): errHalfAnswer,
		packets(gittest.HashA+" HEAD\x00\n") + "00":      errNoProtocol,
		packets(gittest.HashA+" HEAD\x00\n") + "0040abc": errHalfAnswer,
		"<html>":                               errNoProtocol,
		packets("<html>\n", ""):                errNoProtocol,
		packets(gittest.HashA+"\x00\n", ""):    errNoProtocol,
		packets("# service=git-upload-pack\n"): errNoAnswer,
		packets("# service=git-upload-pack\n", "ERR no access\n"):                                  "no access",
		packets("# service=git-upload-pack\n") + "zzzz" + packets(gittest.HashA+" HEAD\x00\n", ""): errNoProtocol,
		packets(gittest.HashA+" HEAD\x00\n") + "0040":                                              errHalfAnswer,
		packets("# service=git-upload-pack\n", "x"):                                                errNoProtocol,
		packets("ERR access denied: /r\n"):                                                         "access denied: /r",
		packets(gittest.HashA+gittest.HashB[:24]+" HEAD\x00object-format=sha256\n", ""):            "kind sha256",
	} {
		adv, err := readAdvertisement(strings.NewReader(text))
		switch want := want.(type) {
		case RemoteRefs:
			if err != nil {
				t.Errorf("%q: %v", text, err)
			} else if diff := cmp.Diff(want, adv.remote(), cmp.AllowUnexported(RemoteRefs{})); diff != "" {
				t.Errorf("%q: %s", text, diff)
			}
		case error:
			if !errors.Is(err, want) {
				t.Errorf("%q: %v, not %v", text, err, want)
			}
		case string:
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v, not %s", text, err, want)
			}
		}
	}
	adv, err := readAdvertisement(strings.NewReader(packets(gittest.HashA+" HEAD\x00\n", "shallow "+gittest.HashA, "")))
	if err != nil || !adv.shallow {
		t.Errorf("a shallow one: %v, %v", adv, err)
	}
}

func TestPackIsFoundBehindWhatIsSaidBefore(t *testing.T) {
	t.Parallel()
	plain, mixed := &advertisement{}, &advertisement{capabilities: []string{sideband64k}}
	ack := "ACK " + gittest.HashA + "\n"
	for _, test := range []struct {
		adv  *advertisement
		text string
		want any
	}{
		{plain, packets("NAK\n") + "PACKdata", "PACKdata"},
		{plain, packets(ack) + "PACKdata", "PACKdata"},
		{plain, packets("NAK\n", "NAK\n", ack) + "PACKdata", "PACKdata"},
		{mixed, packets("NAK\n", "\x01PACK", "\x02counting\n", "\x01data", "") + "ignored", "PACKdata"},
		{mixed, packets(ack, "\x01PACKdata"), "PACKdata"},
		{mixed, packets("NAK\n", "\x01PA", "\x03out of memory\n"), errors.New("out of memory")},
		{mixed, packets("ERR upload-pack: not our ref " + gittest.HashA + "\n"), errors.New("not our ref")},
		{mixed, packets("NAK\n", "\x00what\n"), errors.New("unknown channel")},
		{plain, packets("NAK\n", "\x01PACKdata"), errNoProtocol},
		{plain, "", errNoAnswer},
		{plain, packets("NAK\n"), errNoAnswer},
		{plain, packets("NAK\n") + "PA", errHalfAnswer},
		{plain, packets("NAK\n", "") + "PACK", errNoProtocol},
		{plain, "<html>a page", errNoProtocol},
		{plain, "00ffNAK", errHalfAnswer},
	} {
		r, err := test.adv.openPack(strings.NewReader(test.text))
		var got []byte
		if err == nil {
			got, err = io.ReadAll(r)
		}
		switch want := test.want.(type) {
		case string:
			if err != nil || string(got) != want {
				t.Errorf("%q: %q, %v", test.text, got, err)
			}
		case error:
			if err == nil || !strings.Contains(err.Error(), want.Error()) {
				t.Errorf("%q: %q, %v, not %v", test.text, got, err, want)
			}
		}
	}
}

func TestWhateverTheServerOffersIsTakenAsItSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		offered := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"multi_ack_detailed", "thin-pack", "side-band", sideband64k, "ofs-delta",
			"shallow", "no-progress", "include-tag", "agent=git/2.39", "filter"}), rapid.ID).Draw(t, "capabilities")
		adv := &advertisement{capabilities: offered}
		request := string(adv.packRequest(plumbing.NewHash(gittest.HashA), []plumbing.Hash{plumbing.NewHash(gittest.HashB)}))
		first, _, _ := strings.Cut(request[4:], "\n")
		for _, word := range strings.Fields(first)[2:] {
			name, _, _ := strings.Cut(word, "=")
			if !adv.supports(name) {
				t.Errorf("%q is asked for, and not offered", word)
			}
		}
		if want := "0000" + packets("have "+gittest.HashB+"\n", "done\n"); !strings.HasSuffix(request, want) {
			t.Errorf("the request is %q", request)
		}
	})
}

func FuzzAdvertisement(f *testing.F) {
	f.Add(packets(gittest.HashA+" HEAD\x00symref=HEAD:refs/heads/x\n", gittest.HashA+" refs/heads/x\n", ""))
	f.Add(packets("# service=git-upload-pack\n", "", strings.Repeat("0", 40)+" capabilities^{}\x00\n", "shallow "+gittest.HashA, ""))
	f.Add(packets("ERR no\n"))
	f.Fuzz(func(t *testing.T, text string) {
		a, err := readAdvertisement(strings.NewReader(text))
		if err != nil {
			return
		}
		if !strings.Contains(text, "0000") {
			t.Errorf("%q has no end", text)
		}
		for branch, h := range a.remote().Branches {
			if branch == "" || !strings.Contains(strings.ToLower(text), h.String()+" "+repo.HeadsPrefix) {
				t.Errorf("%q has no branch %q at %s", text, branch, h)
			}
		}
	})
}

func FuzzPackAnswer(f *testing.F) {
	f.Add(packets("NAK\n")+"PACKdata", false)
	f.Add(packets("ACK "+gittest.HashA+"\n", "\x01PACK", "\x02progress", "\x01data", ""), true)
	f.Add(packets("NAK\n", "\x03fatal"), true)
	f.Fuzz(func(t *testing.T, text string, mixed bool) {
		a := &advertisement{}
		if mixed {
			a.capabilities = []string{sideband64k}
		}
		r, err := a.openPack(strings.NewReader(text))
		if err != nil {
			return
		}
		got, err := io.ReadAll(r)
		if err == nil && len(got) > len(text) {
			t.Errorf("%q holds %q", text, got)
		}
		if !mixed && (err != nil || !strings.HasPrefix(string(got), "PACK")) {
			t.Errorf("%q holds %q, %v", text, got, err)
		}
	})
}
