package wire

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/etch/etchtag/snapshot/source/remote"
)

// The smart protocol of gitprotocol-http(5).
const (
	refsSuffix = "/info/refs"
	refsQuery  = "service=" + uploadPack
	maxHops    = 10
)

// basicAuth is what a web server is told of us.
type basicAuth struct{ user, password string }

// httpSession asks a web server.
type httpSession struct {
	client *http.Client
	url    *url.URL   // of the repository; it has no credentials, so that no error can show them
	auth   *basicAuth // nil for none, or if a redirect led to another server
}

// dialHTTP prepares a session over http or https; nothing is sent yet.
func dialHTTP(auth remote.Auth, u URL) (session packSession, secrets []string, err error) {
	s := &httpSession{}
	secrets = []string{u.password}
	if s.auth, err = basicAuthOf(auth, u); err != nil {
		return nil, nil, err
	}
	if s.auth != nil {
		secrets = append(secrets, s.auth.password)
	}
	trip, err := httpTransport(auth)
	if err != nil {
		return nil, secrets, err
	}
	s.client = &http.Client{Transport: trip, CheckRedirect: checkRedirect}
	s.url, err = url.Parse(u.Scheme + "://" + strings.TrimSuffix(u.address(""), ":") + strings.TrimRight(u.Path, "/"))
	return s, secrets, err
}

// checkRedirect follows redirects of the first request only, as git does: a pack is asked for where the refs came from.
func checkRedirect(next *http.Request, via []*http.Request) error {
	last := via[len(via)-1].URL
	switch {
	case via[0].Method != http.MethodGet:
		return fmt.Errorf("it redirects the request for a pack to %s", next.URL.Redacted())
	case last.Scheme == "https" && next.URL.Scheme != "https":
		return fmt.Errorf("it redirects from https to %s", next.URL.Redacted())
	case len(via) >= maxHops:
		return fmt.Errorf("it redirects more than %d times", maxHops)
	}
	next.URL.User = nil // it is for us to say who we are
	if !sameServer(via[0].URL, next.URL) {
		next.Header.Del("Authorization")
	}
	return nil
}

// sameServer reports whether what is meant for one server may be told to another: it is the same, or the same with TLS.
func sameServer(one, other *url.URL) bool {
	from, to := serverPort(one), serverPort(other)
	upgraded := one.Scheme == "http" && other.Scheme == "https" && from == "80" && to == "443"
	return asciiLower(one.Hostname()) == asciiLower(other.Hostname()) &&
		(upgraded || one.Scheme == other.Scheme && from == to)
}

func serverPort(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// asciiLower leaves other letters alone: in the DNS the two small sigmas, for one, are two letters.
func asciiLower(host string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, host)
}

// do sends a request, and returns the answer if that is one.
func (s *httpSession) do(request *http.Request) (*http.Response, error) {
	request.Header.Set("User-Agent", "git/etchtag") // some servers speak the protocol with git only
	if s.auth != nil {
		request.SetBasicAuth(s.auth.user, s.auth.password)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response, nil
	case http.StatusUnauthorized:
		if from, to := request.URL, response.Request.URL; s.auth != nil && !sameServer(from, to) {
			err = fmt.Errorf("it redirects to %s, which requires authentication; what is configured is told to %s only: "+
				"configure the new URL", to.Redacted(), from.Host)
			break
		}
		err = errors.New("authentication required: a user and a password or token are missing or wrong")
	case http.StatusForbidden:
		err = errors.New("the server forbids us to read this repository")
	case http.StatusNotFound:
		err = errors.New("there is no such repository, or no right to read it")
	default: // its page may be long, and say nothing
		err = fmt.Errorf("the server answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return nil, errors.Join(err, response.Body.Close())
}

func (s *httpSession) advertised(ctx context.Context) (*advertisement, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String()+refsSuffix+"?"+refsQuery, nil)
	if err != nil {
		return nil, err
	}
	response, err := s.do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if err := s.moved(*response.Request.URL); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/x-"+uploadPack+"-advertisement") {
		return nil, errNoProtocol // a page, or the files of a repository for git's old "dumb" protocol
	}
	return readAdvertisement(response.Body)
}

// moved takes the place to which the first request was redirected for the repository's.
func (s *httpSession) moved(to url.URL) (err error) {
	to.RawQuery, to.Fragment = "", ""
	base, ok := strings.CutSuffix(to.String(), refsSuffix)
	if !ok {
		return fmt.Errorf("it redirects to %s, which is no repository", to.Redacted())
	}
	if !sameServer(s.url, &to) {
		s.auth = nil
	}
	s.url, err = url.Parse(base)
	return err
}

func (s *httpSession) uploadPack(ctx context.Context, request []byte) (io.ReadCloser, error) {
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.String()+"/"+uploadPack, bytes.NewReader(request))
	if err != nil {
		return nil, err
	}
	post.Header.Set("Content-Type", "application/x-"+uploadPack+"-request")
	post.Header.Set("Accept", "application/x-"+uploadPack+"-result")
	response, err := s.do(post)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// Close closes the connections that were kept open.
func (s *httpSession) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
