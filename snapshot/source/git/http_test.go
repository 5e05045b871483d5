package git

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
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
	r := gittest.NewTestRepo(t)
	name := "/" + filepath.Base(r.Dir)
	here, there := &authorizations{next: r.WebHandler("")}, &authorizations{next: r.WebHandler("")}
	other := httptest.NewServer(there)
	t.Cleanup(other.Close)
	locked := httptest.NewServer(r.WebHandler("another"))
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
		case strings.HasPrefix(q.URL.Path, "/moved/pack"+"/info/refs"):
			q.URL.Path = name + "/info/refs"
			backend.ServeHTTP(w, q)
		case strings.HasPrefix(q.URL.Path, "/moved/pack"):
			http.Redirect(w, q, name+"/"+"git-upload-pack", http.StatusTemporaryRedirect)
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
	post := "POST " + name + "/" + "git-upload-pack"
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
	c := newWorkingCopy(t, downgrade.URL+"/r", func(o *Options) { o.Auth.CAFile = testbed.SecretFile(t, testbed.CertificateOf(downgrade)) })
	c.cloneFails("redirects from https")
}
