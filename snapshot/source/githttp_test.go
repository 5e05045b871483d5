package source

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// authorizations remembers which requests told who we are.
type authorizations struct {
	next http.Handler
	mu   sync.Mutex
	told []string // method and path
	all  int
}

func (a *authorizations) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	a.mu.Lock()
	a.all++
	if q.Header.Get("Authorization") != "" {
		a.told = append(a.told, q.Method+" "+q.URL.Path)
	}
	a.mu.Unlock()
	a.next.ServeHTTP(w, q)
}

func TestWebServerMayRedirectTheFirstRequest(t *testing.T) {
	t.Parallel()
	r := newTestRepo(t)
	name := "/" + filepath.Base(r.dir)
	here, there := &authorizations{next: r.webHandler("")}, &authorizations{next: r.webHandler("")}
	other := httptest.NewServer(there)
	t.Cleanup(other.Close)
	locked := httptest.NewServer(r.webHandler("another"))
	t.Cleanup(locked.Close)
	backend := here.next
	server := httptest.NewServer(here)
	t.Cleanup(server.Close)
	here.next = http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch rest, _ := strings.CutPrefix(q.URL.RequestURI(), "/moved"); {
		case strings.HasPrefix(q.URL.Path, "/moved/within"):
			http.Redirect(w, q, strings.Replace(rest, "/within", name, 1), http.StatusMovedPermanently)
		case strings.HasPrefix(q.URL.Path, "/moved/away"):
			http.Redirect(w, q, other.URL+strings.Replace(rest, "/away", name, 1), http.StatusFound)
		case strings.HasPrefix(q.URL.Path, "/moved/page"):
			http.Redirect(w, q, "/login?token=secret", http.StatusFound)
		case strings.HasPrefix(q.URL.Path, "/moved/circle"):
			http.Redirect(w, q, q.URL.RequestURI(), http.StatusFound)
		case strings.HasPrefix(q.URL.Path, "/moved/pack"+refsSuffix):
			q.URL.Path = name + refsSuffix
			backend.ServeHTTP(w, q)
		case strings.HasPrefix(q.URL.Path, "/moved/pack"):
			http.Redirect(w, q, name+"/"+uploadPack, http.StatusTemporaryRedirect)
		case strings.HasPrefix(q.URL.Path, "/moved/login"):
			http.Redirect(w, q, locked.URL+rest, http.StatusFound)
		case strings.HasPrefix(q.URL.Path, "/moved/named"):
			http.Redirect(w, q, strings.Replace(server.URL, "http://", "http://eve:hers@", 1)+
				strings.Replace(rest, "/named", name, 1)+"#fragment", http.StatusFound)
		case q.URL.Path == "/login":
			_, _ = w.Write([]byte("<html>"))
		default:
			backend.ServeHTTP(w, q)
		}
	})
	self := strings.Replace(server.URL, "http://", "http://etch:s3cret@", 1)

	cloned(t, self+"/moved/within").is(r, "main")
	post := "POST " + name + "/" + uploadPack
	if len(here.told) != here.all || !slices.Contains(here.told, post) {
		t.Errorf("the server itself was told only with %q", here.told)
	}
	cloned(t, self+"/moved/named").is(r, "main")
	cloned(t, self+"/moved/away").is(r, "main")
	if len(there.told) > 0 || there.all != 2 {
		t.Errorf("another server got our password with %q of %d requests", there.told, there.all)
	}
	for path, says := range map[string]string{
		"/moved/page": "no repository", "/moved/circle": "redirects more than", "/moved/pack": "redirects the request for a pack",
		"/moved/login": "told to " + strings.TrimPrefix(server.URL, "http://") + " only",
	} {
		err := newWorkingCopy(t, self+path).cloneFails(says, path)
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "token=secret") {
			t.Errorf("the error tells a secret: %v", err)
		}
	}
}

func TestWhatOneServerMayKnowAnotherMayNot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		one, other string
		may        bool
	}{
		{"https://a.example.com/x", "https://a.example.com/y", true},
		{"https://a.example.com/x", "https://A.example.com/y", true},
		{"http://a.example.com/x", "https://a.example.com/x", true},
		{"https://a.example.com/x", "http://a.example.com/x", false},
		{"http://a.example.com:80/x", "https://a.example.com/x", true},
		{"https://a.example.com/x", "https://a.example.com:443/x", true},
		{"http://a.example.com:8080/x", "https://a.example.com/x", false},
		{"https://a.k\u03c3.example.com/x", "https://a.k\u03c2.example.com/x", false}, // two letters in the DNS
		{"https://a.example.com/x", "https://b.a.example.com/x", false},
		{"https://a.example.com/x", "https://a.example.com:8443/x", false},
		{"https://example.com/x", "https://example.com.evil.org/x", false},
	} {
		one, err := url.Parse(test.one)
		if err != nil {
			t.Fatal(err)
		}
		other, err := url.Parse(test.other)
		if err != nil {
			t.Fatal(err)
		}
		if got := sameServer(one, other); got != test.may {
			t.Errorf("from %s to %s: %t", test.one, test.other, got)
		}
	}
}

func TestServerThatForbidsSaysSoInOurWords(t *testing.T) {
	t.Parallel()
	for status, says := range map[int]string{
		http.StatusUnauthorized: "authentication required", http.StatusForbidden: "forbids", http.StatusNotFound: "no such repository",
		http.StatusBadGateway: "502 Bad Gateway", 599: "the server answers 599",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("a long page ", 1000), status)
		}))
		t.Cleanup(server.Close)
		if err := newWorkingCopy(t, server.URL+"/r").cloneFails(says); strings.Contains(err.Error(), "a long page") {
			t.Errorf("%d: %v", status, err)
		}
	}
	downgrade := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "http://127.0.0.1:1"+q.URL.RequestURI(), http.StatusFound)
	}))
	t.Cleanup(downgrade.Close)
	c := newWorkingCopy(t, downgrade.URL+"/r", func(o *GitOptions) { o.Auth.CAFile = secretFile(t, certificateOf(downgrade)) })
	c.cloneFails("redirects from https")
}
