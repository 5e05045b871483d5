package nventory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// redirects is how many redirects are followed.
const redirects = 5

// limits bound what a server can make us read and remember, in bytes.
type limits struct {
	node   int64 // from one node of an answer to the next, and so nearly all of the answer for one host
	answer int64 // a whole answer
	kept   int64 // what a list of all hosts takes in memory, roughly
}

// all is the query for all hosts. The server wants the brackets as they are.
const all = "include[node_groups]="

// query returns the query for one host.
func query(host string) string {
	return "exact_name=" + url.QueryEscape(host) + "&" + all
}

// url returns what is asked for with a query.
func (s *settings) url(query string) *url.URL {
	u := s.server.JoinPath("nodes.xml")
	u.RawQuery = query
	return u
}

// failed names the question that err is about: the server and the host.
func (s *settings) failed(query string, err error) error {
	return fmt.Errorf("GET %s: %w", s.url(query), err)
}

// ask visits the nodes of the answer to a query. Errors of visit end it.
func (s *settings) ask(ctx context.Context, query string, timeout time.Duration, limits limits,
	visit func(*answerNode) error) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := s.get(limited, query, func(body io.Reader) error { return eachNode(body, limits, visit) })
	if err == nil {
		return nil
	}
	if limited.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("there was no complete answer within %v: %w", timeout, err)
	}
	return s.failed(query, err)
}

// get has the body of the answer to a query read.
func (s *settings) get(ctx context.Context, query string, read func(io.Reader) error) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url(query).String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "etchtag")
	if s.user != nil {
		password, _ := s.user.Password()
		request.SetBasicAuth(s.user.Username(), password)
	}
	client := http.Client{Transport: transport{s}, CheckRedirect: checkRedirect}
	response, err := client.Do(request)
	if wrapper, ok := errors.AsType[*url.Error](err); ok {
		err = wrapper.Err // the URL is named by our caller
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the status is %q", response.Status)
	}
	return read(response.Body)
}

// checkRedirect says whether a redirect to next is followed.
func checkRedirect(next *http.Request, asked []*http.Request) error {
	last := asked[len(asked)-1].URL
	refuse := func(why string) error {
		to := url.URL{Scheme: next.URL.Scheme, Opaque: next.URL.Opaque, Host: next.URL.Host,
			Path: next.URL.Path, RawPath: next.URL.RawPath}
		return fmt.Errorf("status %q sends us to %q: %s", next.Response.Status, to.String(), why)
	}
	switch next.Response.StatusCode {
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return refuse("only 301, 307 and 308 are followed, because others lead to pages for people to log in")
	}
	upgrade := last.Scheme == "http" && next.URL.Scheme == "https"
	if next.URL.Scheme != last.Scheme && !upgrade {
		return refuse("that is not " + last.Scheme + " any more")
	}
	if len(asked) > redirects {
		return refuse(fmt.Sprintf("that is one redirect more than the %d that are followed", redirects))
	}
	if next.URL.Host != asked[0].URL.Host {
		next.Header.Del("Authorization")
	}
	return nil
}

// transport makes a connection of its own for each request, and reads certificates only if it is
// one with TLS.
type transport struct{ s *settings }

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(request *http.Request) (*http.Response, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{},
		DisableKeepAlives: true}
	if t.s.proxy != nil {
		transport.Proxy = http.ProxyURL(t.s.proxy)
	}
	if request.URL.Scheme == "https" {
		roots, err := t.s.roots()
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig.RootCAs = roots
	}
	return transport.RoundTrip(request)
}
