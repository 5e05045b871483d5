package wire

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

// What follows is the client's part of gitprotocol-pack(5), in its first version, which all servers speak. go-git has a
// client, too; but it brings a reader of configurations along, and with that encoding/gob, which every start of the
// resolver would pay for.

const uploadPack = "git-upload-pack"

var (
	errNoProtocol = errors.New("the answer is not git's protocol")
	errNoAnswer   = errors.New("the server closed the connection without an answer")
	errHalfAnswer = errors.New("the server closed the connection in the middle of its answer")
)

// advertisement is what a server says of a repository before it is asked for anything.
type advertisement struct {
	refs         map[string]plumbing.Hash // HEAD and the branches, by full name
	capabilities []string                 // NAME or NAME=VALUE
	shallow      bool                     // it lacks history
}

func (a *advertisement) supports(name string) bool {
	return slices.Contains(a.capabilities, name) || len(a.values(name)) > 0
}

func (a *advertisement) values(name string) []string {
	var values []string
	for _, c := range a.capabilities {
		if value, ok := strings.CutPrefix(c, name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// readAdvertisement reads an advertisement to its end; that of an empty repository has no refs.
func readAdvertisement(r io.Reader) (*advertisement, error) {
	a := &advertisement{refs: map[string]plumbing.Hash{}}
	lines := pktline.NewScanner(r)
	first := true
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			return a, nil
		}
		line := string(bytes.TrimSuffix(lines.Bytes(), []byte("\n")))
		if first && strings.HasPrefix(line, "# service=") { // a web server says so, and flushes
			if !lines.Scan() {
				break
			}
			if len(lines.Bytes()) > 0 {
				return nil, errNoProtocol
			}
			continue
		}
		if first {
			_, capabilities, _ := strings.Cut(line, "\x00")
			a.capabilities = strings.Fields(capabilities)
			first = false
			if format := a.values("object-format"); len(format) > 0 && format[0] != "sha1" {
				return nil, fmt.Errorf("it has object names of the kind %s: only SHA-1 is supported", format[0])
			}
		}
		if err := a.add(line); err != nil {
			return nil, err
		}
	}
	if err := scanError(lines); err != nil {
		return nil, err
	}
	if first {
		return nil, errNoAnswer
	}
	return nil, errHalfAnswer
}

// scanError is why a scanner ended, nil at the end of its input.
func scanError(s *pktline.Scanner) error {
	switch err := s.Err(); {
	case errors.Is(err, pktline.ErrInvalidPktLen):
		return errNoProtocol
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		return errHalfAnswer
	default:
		return err
	}
}

// add takes a line of an advertisement.
func (a *advertisement) add(line string) error {
	line, _, _ = strings.Cut(line, "\x00")
	word, ref, _ := strings.Cut(line, " ")
	if word == "shallow" {
		a.shallow = true
		return nil
	}
	h, err := repo.ParseHash(word)
	if err != nil || ref == "" {
		return errNoProtocol
	}
	if ref == "HEAD" || strings.HasPrefix(ref, repo.HeadsPrefix) && repo.ValidRef(ref) {
		a.refs[ref] = h
	}
	return nil
}

// remote sorts out what a server offers.
func (a *advertisement) remote() RemoteRefs {
	refs := RemoteRefs{Branches: map[string]plumbing.Hash{}}
	for name, h := range a.refs {
		if branch, ok := strings.CutPrefix(name, repo.HeadsPrefix); ok {
			refs.Branches[branch] = h
		}
	}
	for _, symref := range a.values("symref") {
		name, target, _ := strings.Cut(symref, ":")
		if branch, ok := strings.CutPrefix(target, repo.HeadsPrefix); ok && name == "HEAD" {
			refs.Head = branch
		}
	}
	if head, ok := a.refs["HEAD"]; ok && refs.Head == "" { // an old server
		refs.Head = guessHead(refs.Branches, head)
	}
	return refs
}

// guessHead finds the branch that HEAD stands for by its hash, as git does for servers that do not say.
func guessHead(branches map[string]plumbing.Hash, head plumbing.Hash) string {
	best := ""
	for name, h := range branches {
		if h != head {
			continue
		}
		if name == "master" {
			return name
		}
		if best == "" || name < best {
			best = name
		}
	}
	return best
}

// sideband64k is the capability to send messages and errors between the parts of a pack.
const sideband64k = "side-band-64k"

// packRequest asks for a pack that is complete in itself, with all that want needs and haves lack.
func (a *advertisement) packRequest(want plumbing.Hash, haves []plumbing.Hash) []byte {
	words := []string{"want", want.String()}
	for _, c := range []string{"ofs-delta", "no-progress", sideband64k} {
		if a.supports(c) {
			words = append(words, c)
		}
	}
	if a.supports("agent") {
		words = append(words, "agent=etchtag")
	}
	request := appendPacket(nil, strings.Join(words, " ")+"\n")
	request = append(request, pktline.FlushPkt...)
	for _, h := range haves {
		request = appendPacket(request, "have "+h.String()+"\n")
	}
	return appendPacket(request, "done\n")
}

// appendPacket appends one line of the protocol, which is short.
func appendPacket(to []byte, line string) []byte {
	return fmt.Appendf(to, "%04x%s", 4+len(line), line)
}

// openPack reads what a server has to say before the pack that it was asked for, and returns a reader of that.
func (a *advertisement) openPack(answer io.Reader) (io.Reader, error) {
	r := bufio.NewReader(answer)
	for {
		start, err := r.Peek(len("0000x"))
		switch {
		case errors.Is(err, io.EOF) && len(start) == 0:
			return nil, errNoAnswer
		case errors.Is(err, io.EOF):
			return nil, errHalfAnswer
		case err != nil:
			return nil, err
		case bytes.HasPrefix(start, []byte("PACK")):
			return r, nil
		case a.supports(sideband64k) && start[4] <= byte(sideband.ErrorMessage):
			return sideband.NewDemuxer(sideband.Sideband64k, r), nil
		}
		line := pktline.NewScanner(r)
		if !line.Scan() {
			return nil, cmp.Or(scanError(line), errHalfAnswer)
		}
		// It acknowledges the first commit that it has, too, or none.
		if word, _, _ := bytes.Cut(bytes.TrimSpace(line.Bytes()), []byte(" ")); !slices.Contains([]string{"ACK", "NAK"}, string(word)) {
			return nil, errNoProtocol
		}
	}
}
