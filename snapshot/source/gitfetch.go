package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
	"golang.org/x/crypto/ssh"
)

const (
	uploadPack = "git-upload-pack"
	// politeness is how long we may take to say goodbye to a server.
	politeness = 100 * time.Millisecond
)

// remoteRefs is what an upstream repository offers.
type remoteRefs struct {
	head     string                   // the branch that its HEAD stands for, or empty
	branches map[string]plumbing.Hash // by short name
}

// upstream is a connection to an upstream repository, for one fetch.
type upstream interface {
	// refs returns what was listed when the connection was made.
	refs() remoteRefs
	// fetch brings all objects that the commit want needs into the store. A store that is new gets
	// the whole repository.
	fetch(ctx context.Context, want plumbing.Hash, into *objectStore) error
	// Close ends the connection.
	Close() error
}

// dialUpstream connects to a repository and lists its refs.
func dialUpstream(ctx context.Context, o *GitOptions, raw string) (upstream, error) {
	u, err := parseGitURL(raw, o.Dir)
	if err != nil {
		return nil, err
	}
	if u.scheme == "file" {
		return openLocal(u.path)
	}
	n := &network{timeout: o.Timeout, progress: o.Progress}
	secrets := []string{u.password}
	switch u.scheme {
	case "git":
		n.session, err = dialGit(ctx, n, u)
	case "ssh":
		n.session, err = dialSSH(ctx, n, o.Auth, u)
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
	AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error)
	UploadPack(ctx context.Context, req *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	io.Closer
}

// network is an upstream behind a network protocol.
type network struct {
	session  packSession
	timeout  time.Duration
	progress ProgressFunc
	secrets  []string
	adv      *packp.AdvRefs
	listed   remoteRefs
}

func (n *network) refs() remoteRefs { return n.listed }

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
		err = &redactedError{text, errors.Join(context.DeadlineExceeded, err)}
	}
	return redactError(err, n.secrets...)
}

func (n *network) list(ctx context.Context) (err error) {
	ctx, cancel := n.withDeadline(ctx)
	defer cancel()
	n.adv, err = n.session.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listing its refs: %w", explainProtocol(err))
	}
	if format := n.adv.Capabilities.Get("object-format"); len(format) > 0 && format[0] != "sha1" {
		return fmt.Errorf("it has object names of the kind %s: only SHA-1 is supported", format[0])
	}
	if len(n.adv.Shallows) > 0 {
		return errShallowUpstream
	}
	n.listed = advertised(n.adv)
	return nil
}

// explainProtocol says in our words what an error of go-git usually means. Its own may quote whole pages
// that a web server sent.
func explainProtocol(err error) error {
	var unexpected *packp.ErrUnexpectedData
	switch {
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return &redactedError{"there is no such repository, or no right to read it", err}
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return &redactedError{"authentication required: a user and a password or token are missing or wrong", err}
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return &redactedError{"the server forbids us to read this repository", err}
	case errors.As(err, &unexpected) && bytes.Contains(unexpected.Data, []byte("object-format=sha256")):
		return &redactedError{"it has object names of the kind sha256: only SHA-1 is supported", err}
	case errors.As(err, &unexpected) || errors.Is(err, pktline.ErrInvalidPktLen):
		return &redactedError{"the answer is not git's protocol", err}
	case errors.Is(err, packp.ErrEmptyInput):
		return errors.New("the server closed the connection without an answer")
	}
	return err
}

// advertised sorts out what a server offers.
func advertised(adv *packp.AdvRefs) remoteRefs {
	refs := remoteRefs{branches: map[string]plumbing.Hash{}}
	for name, h := range adv.References {
		if branch, ok := strings.CutPrefix(name, headsPrefix); ok {
			refs.branches[branch] = h
		}
	}
	for _, symref := range adv.Capabilities.Get(capability.SymRef) {
		name, target, _ := strings.Cut(symref, ":")
		if branch, ok := strings.CutPrefix(target, headsPrefix); ok && name == "HEAD" {
			refs.head = branch
		}
	}
	if refs.head == "" && adv.Head != nil { // an old server
		refs.head = guessHead(refs.branches, *adv.Head)
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

// fetch asks for one commit and all behind it that the store lacks.
func (n *network) fetch(ctx context.Context, want plumbing.Hash, into *objectStore) error {
	haves, err := into.haves()
	if err != nil || slices.Contains(haves, want) { // upstream went back to an older commit
		return err
	}
	incoming, err := into.receive()
	if err != nil {
		return err
	}
	defer incoming.discard()
	limited, cancel := n.withDeadline(ctx)
	defer cancel()
	if err := n.download(limited, want, haves, incoming); err != nil {
		err = fmt.Errorf("fetching the commit %s: %w", want, err)
		if errors.Is(err, errLocalWrite) {
			return err
		}
		return n.explain(ctx, err)
	}
	return incoming.keep()
}

// errLocalWrite marks errors of our own disk while we download.
var errLocalWrite = errors.New("writing the pack")

// download asks for a pack with all that want needs and the commits haves do not have.
func (n *network) download(ctx context.Context, want plumbing.Hash, haves []plumbing.Hash, w io.Writer) error {
	if n.adv == nil {
		return errors.New("the repository is empty")
	}
	request, multiplexed, err := packRequest(n.adv.Capabilities)
	if err != nil {
		return err
	}
	request.Wants, request.Haves = []plumbing.Hash{want}, haves
	response, err := n.session.UploadPack(ctx, request)
	if err != nil {
		return err
	}
	defer response.Close()
	var pack io.Reader = response
	if multiplexed {
		pack = sideband.NewDemuxer(sideband.Sideband64k, response)
	}
	received := &countingWriter{w: w, report: func(bytes int64) { n.progress.report("fetch", bytes, -1) }}
	if _, err := io.CopyBuffer(received, onlyReader{pack}, make([]byte, 128<<10)); err != nil {
		if received.err != nil {
			return fmt.Errorf("%w: %w", errLocalWrite, received.err)
		}
		return err
	}
	return nil
}

// packRequest prepares a request for a pack that is complete in itself.
func packRequest(offered *capability.List) (request *packp.UploadPackRequest, multiplexed bool, err error) {
	request = packp.NewUploadPackRequest()
	for _, c := range []capability.Capability{capability.OFSDelta, capability.NoProgress, capability.Sideband64k} {
		if offered.Supports(c) {
			err = errors.Join(err, request.Capabilities.Set(c))
		}
	}
	if offered.Supports(capability.Agent) {
		err = errors.Join(err, request.Capabilities.Set(capability.Agent, "etchtag"))
	}
	return request, offered.Supports(capability.Sideband64k), err
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

// dialHTTP prepares a session over http or https; nothing is sent yet.
func dialHTTP(auth Auth, u gitURL) (packSession, []string, error) {
	basic, err := auth.basicAuth(u)
	if err != nil {
		return nil, nil, err
	}
	secrets := []string{u.password}
	var method transport.AuthMethod
	if basic != nil {
		secrets = append(secrets, basic.Password)
		method = basic
	}
	trip, err := auth.httpTransport()
	if err != nil {
		return nil, secrets, err
	}
	host := u.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	// The endpoint has no credentials, so that no error of the library can show them.
	endpoint := &transport.Endpoint{Protocol: u.scheme, Host: host, Port: u.portNumber(), Path: u.path}
	session, err := githttp.NewClient(&http.Client{Transport: trip}).NewUploadPackSession(endpoint, method)
	if err != nil {
		return nil, secrets, err
	}
	return &httpSession{session, trip}, secrets, nil
}

// httpSession closes the connections that it kept open.
type httpSession struct {
	transport.UploadPackSession
	trip *http.Transport
}

func (s *httpSession) Close() error {
	s.trip.CloseIdleConnections()
	return s.UploadPackSession.Close()
}

// streamSession talks git's protocol over one connection, whose deadline is that of the context.
type streamSession struct {
	conn   net.Conn  // what deadlines are set on
	in     io.Writer // to the server
	out    io.Reader // from the server
	stderr func() string
	close  func() error
	asked  bool // a pack was asked for
}

// bind makes the connection end with the context.
func (s *streamSession) bind(ctx context.Context) (release func()) {
	return bindConn(ctx, s.conn)
}

func bindConn(ctx context.Context, conn net.Conn) (release func()) {
	deadline, _ := ctx.Deadline() // the zero time means none
	_ = conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return func() { stop() }
}

func (s *streamSession) AdvertisedReferencesContext(ctx context.Context) (*packp.AdvRefs, error) {
	defer s.bind(ctx)()
	adv := packp.NewAdvRefs()
	err := adv.Decode(s.out)
	if errors.Is(err, packp.ErrEmptyAdvRefs) || err == nil && adv.IsEmpty() {
		return nil, transport.ErrEmptyRemoteRepository
	}
	if err != nil {
		if text := s.stderr(); text != "" && errors.Is(err, packp.ErrEmptyInput) {
			err = fmt.Errorf("the server says: %s", text)
		}
		return nil, err
	}
	return adv, nil
}

func (s *streamSession) UploadPack(
	ctx context.Context, r *packp.UploadPackRequest,
) (*packp.UploadPackResponse, error) {
	release := s.bind(ctx)
	s.asked = true
	err := r.UploadRequest.Encode(s.in)
	if err == nil {
		err = r.UploadHaves.Encode(s.in, true)
	}
	if err == nil {
		_, err = io.WriteString(s.in, "0009done\n")
	}
	if err != nil {
		release()
		return nil, fmt.Errorf("asking for objects: %w", err)
	}
	response := packp.NewUploadPackResponse(r)
	if err := response.Decode(&releasingReader{s.out, release}); err != nil {
		release()
		return nil, err
	}
	return response, nil
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
		ctx, cancel := context.WithTimeout(context.Background(), politeness)
		defer cancel()
		defer bindConn(ctx, s.conn)()
		_, _ = s.in.Write(pktline.FlushPkt)
	}
	return s.close()
}

// dialGit connects to a git daemon.
func dialGit(ctx context.Context, n *network, u gitURL) (packSession, error) {
	ctx, cancel := n.withDeadline(ctx)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.address("9418"))
	if err != nil {
		return nil, err
	}
	defer bindConn(ctx, conn)()
	host := u.host
	if u.port != "" {
		host = net.JoinHostPort(u.host, u.port)
	}
	request := packp.GitProtoRequest{RequestCommand: uploadPack, Pathname: u.path, Host: host}
	if err := request.Encode(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	noStderr := func() string { return "" }
	return &streamSession{conn: conn, in: conn, out: conn, stderr: noStderr, close: conn.Close}, nil
}

// dialSSH runs git-upload-pack on an ssh server.
func dialSSH(ctx context.Context, n *network, auth Auth, u gitURL) (packSession, error) {
	ctx, cancel := n.withDeadline(ctx)
	defer cancel()
	target, err := auth.sshTarget(u)
	if err != nil {
		return nil, err
	}
	defer target.close()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", target.address)
	if err != nil {
		return nil, err
	}
	defer bindConn(ctx, conn)()
	session, err := startSSH(conn, target, u.path)
	if err == nil {
		return session, nil
	}
	if target.refused != nil {
		err = target.refused
	}
	return nil, errors.Join(err, conn.Close())
}

func startSSH(conn net.Conn, target *sshTarget, path string) (*streamSession, error) {
	c, channels, requests, err := ssh.NewClientConn(conn, target.address, target.config)
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(c, channels, requests)
	session, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := session.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return nil, err
	}
	said := &tail{}
	session.Stderr = said
	if err := session.Start(uploadPack + " " + shellQuote(path)); err != nil {
		return nil, err
	}
	stderr := func() string {
		_ = session.Wait() // the server closed its output: what it has to say comes before its exit status
		return said.String()
	}
	return &streamSession{conn: conn, in: in, out: out, stderr: stderr, close: func() error {
		_ = client.Close()
		_ = conn.Close()
		return nil
	}}, nil
}

// tail keeps the end of what is written to it, for messages.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 2048
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(p), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.text)) }

// shellQuote quotes as git's sq_quote_buf does: csh needs the quoted exclamation mark.
func shellQuote(s string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(s) + "'"
}
