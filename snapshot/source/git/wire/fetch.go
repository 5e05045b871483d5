// Package wire brings objects from an upstream: over git's own protocol, over http, by ssh, or from a path. What it brings
// goes to package object, which proves it before any ref speaks of it.
//
// A path is read in process: go-git executes git for one, and its server in process took 38 s and 514 MB for 5,000
// commits. The protocol is our own because go-git's client brings a reader of configurations and a transport for ssh
// along, and reads all refs once more for each request.
package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
)

// RemoteRefs is what an upstream repository offers.
type RemoteRefs struct {
	Head     string                   // the branch that its HEAD stands for, or empty
	Branches map[string]plumbing.Hash // by short name
}

// upstream is a connection to an upstream repository, for one fetch.
type upstream interface {
	// refs returns what was listed when the connection was made.
	Refs() RemoteRefs
	// fetch brings all objects that the commit want needs into the store. A store that is new gets
	// the whole repository.
	Fetch(ctx context.Context, want plumbing.Hash, into *object.Store) error
	// Close ends the connection.
	Close() error
}

// Options say how an upstream is reached.
type Options struct {
	Dir      string // that a relative path is taken from
	Auth     remote.Auth
	Timeout  time.Duration       // what each network operation may take; 0: no limit
	Progress source.ProgressFunc // nil means that nobody wants to know
}

// Dial connects to a repository and lists its refs.
func Dial(ctx context.Context, raw string, o Options) (upstream, error) {
	u, err := ParseURL(raw, o.Dir)
	if err != nil {
		return nil, err
	}
	if u.Scheme == "file" {
		return openLocal(u.Path)
	}
	n := &network{timeout: o.Timeout, progress: o.Progress}
	secrets := []string{u.password}
	switch u.Scheme {
	case "git":
		n.session, err = dialGit(ctx, n, u)
	case "ssh":
		n.session, err = dialSSH(o.Auth, u)
	default:
		n.session, secrets, err = dialHTTP(o.Auth, u)
	}
	n.secrets = secrets
	if err == nil {
		err = n.list(ctx)
	}
	if err != nil {
		return nil, errors.Join(n.explain(ctx, err), n.Close())
	}
	return n, nil
}

// packSession is one conversation with git-upload-pack.
type packSession interface {
	// advertised says what the repository has; it comes first.
	advertised(ctx context.Context) (*advertisement, error)
	// uploadPack sends a request and returns the answer, which ends with ctx.
	uploadPack(ctx context.Context, request []byte) (io.ReadCloser, error)
	io.Closer
}

// network is an upstream behind a network protocol.
type network struct {
	session  packSession
	timeout  time.Duration
	progress source.ProgressFunc
	secrets  []string
	adv      *advertisement
	listed   RemoteRefs
}

func (n *network) Refs() RemoteRefs { return n.listed }

func (n *network) Close() error {
	if n.session == nil {
		return nil
	}
	return n.session.Close()
}

// withDeadline gives one network operation its time.
func (n *network) withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if n.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, n.timeout)
}

// explain says in an error that an operation ran out of time or was cancelled by ctx, and takes secrets
// out of it.
func (n *network) explain(ctx context.Context, err error) error {
	var timeout net.Error
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		text := fmt.Sprintf("it did not finish within %s", n.timeout)
		err = &remote.RedactedError{Text: text, Err: errors.Join(context.DeadlineExceeded, err)}
	}
	return remote.RedactError(err, n.secrets...)
}

func (n *network) list(ctx context.Context) (err error) {
	ctx, cancel := n.withDeadline(ctx)
	defer cancel()
	if n.adv, err = n.session.advertised(ctx); err != nil {
		return fmt.Errorf("list its refs: %w", err)
	}
	if n.adv.shallow {
		return errShallowUpstream
	}
	n.listed = n.adv.remote()
	return nil
}

// Fetch asks for one commit and all behind it that the store lacks.
func (n *network) Fetch(ctx context.Context, want plumbing.Hash, into *object.Store) error {
	haves, err := into.Haves()
	if err != nil || slices.Contains(haves, want) { // upstream went back to an older commit
		return err
	}
	incoming, err := into.Receive()
	if err != nil {
		return err
	}
	defer incoming.Discard()
	limited, cancel := n.withDeadline(ctx)
	defer cancel()
	if err := n.download(limited, want, haves, incoming); err != nil {
		err = fmt.Errorf("fetch the commit %s: %w", want, err)
		if errors.Is(err, errLocalWrite) {
			return err
		}
		return n.explain(ctx, err)
	}
	return incoming.Keep()
}

// errLocalWrite marks errors of our own disk while we download.
var errLocalWrite = errors.New("writing the pack")

// download asks for a pack with all that want needs and the commits haves do not have.
func (n *network) download(ctx context.Context, want plumbing.Hash, haves []plumbing.Hash, w io.Writer) error {
	answer, err := n.session.uploadPack(ctx, n.adv.packRequest(want, haves))
	if err != nil {
		return err
	}
	defer answer.Close()
	pack, err := n.adv.openPack(answer)
	if err != nil {
		return err
	}
	received := &countingWriter{w: w, report: func(bytes int64) { n.progress.Report("fetch", bytes, -1) }}
	if _, err := io.CopyBuffer(received, object.OnlyReader{Reader: pack}, make([]byte, 128<<10)); err != nil {
		if received.err != nil {
			return fmt.Errorf("%w: %w", errLocalWrite, received.err)
		}
		return err
	}
	return nil
}

// countingWriter reports how much went through it, and remembers the error of the writer behind it.
type countingWriter struct {
	w      io.Writer
	n      int64
	err    error
	report func(n int64)
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	c.err = err
	c.report(c.n)
	return n, err
}

// streamSession talks git's protocol over one connection, whose deadline is that of the context.
type streamSession struct {
	conn  connection
	asked bool // a pack was asked for
}

// connection is what we need of a net.Conn.
type connection interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

// bind makes the connection end with the context.
func (s *streamSession) bind(ctx context.Context) (release func()) {
	return bindConn(ctx, s.conn)
}

func bindConn(ctx context.Context, conn connection) (release func()) {
	deadline, _ := ctx.Deadline() // the zero time means none
	_ = conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

func (s *streamSession) advertised(ctx context.Context) (*advertisement, error) {
	defer s.bind(ctx)()
	return readAdvertisement(s.conn)
}

func (s *streamSession) uploadPack(ctx context.Context, request []byte) (io.ReadCloser, error) {
	release := s.bind(ctx)
	s.asked = true
	if _, err := s.conn.Write(request); err != nil {
		release()
		return nil, fmt.Errorf("ask for objects: %w", err)
	}
	return &releasingReader{s.conn, release}, nil
}

// releasingReader lets go of the context when it is closed; the session itself is closed by its owner.
type releasingReader struct {
	io.Reader
	release func()
}

func (r *releasingReader) Close() error {
	r.release()
	return nil
}

func (s *streamSession) Close() error {
	if !s.asked { // a polite end, so that the server logs no error
		ctx, cancel := context.WithTimeout(context.Background(), remote.Politeness)
		defer cancel()
		defer bindConn(ctx, s.conn)()
		_, _ = s.conn.Write(pktline.FlushPkt)
	}
	return s.conn.Close()
}

// dialGit connects to a git daemon.
func dialGit(ctx context.Context, n *network, u URL) (packSession, error) {
	ctx, cancel := n.withDeadline(ctx)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.address("9418"))
	if err != nil {
		return nil, err
	}
	defer bindConn(ctx, conn)()
	host := u.Host
	if u.Port != "" {
		host = net.JoinHostPort(u.Host, u.Port)
	}
	if _, err := conn.Write(appendPacket(nil, uploadPack+" "+u.Path+"\x00host="+host+"\x00")); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &streamSession{conn: conn}, nil
}

// shellQuote quotes as git's sq_quote_buf does: csh needs the quoted exclamation mark.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}
