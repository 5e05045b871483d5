package source

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRepositoryURLsAreTakenApartAsGitDoes(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]gitURL{
		"https://example.com/a/b.git":        {scheme: "https", host: "example.com", path: "/a/b.git"},
		"https://u:p%40ss@example.com:8443/": {},
		"https://u:p%40ss@example.com:8443/r%20x": {
			scheme: "https", user: "u", password: "p@ss", host: "example.com", port: "8443", path: "/r%20x",
		},
		"http://[::1]:80/r":               {scheme: "http", host: "::1", port: "80", path: "/r"},
		"ssh://git@example.com:2222/a/b":  {scheme: "ssh", user: "git", host: "example.com", port: "2222", path: "/a/b"},
		"ssh://example.com/~joe/r":        {scheme: "ssh", host: "example.com", path: "~joe/r"},
		"git+ssh://example.com/r%20x":     {scheme: "ssh", host: "example.com", path: "/r x"},
		"git@example.com:a/b.git":         {scheme: "ssh", user: "git", host: "example.com", path: "a/b.git"},
		"example.com:/srv/r":              {scheme: "ssh", host: "example.com", path: "/srv/r"},
		"me@corp.example@host:r":          {scheme: "ssh", user: "me@corp.example", host: "host", path: "r"},
		"git@[::1]:r":                     {scheme: "ssh", user: "git", host: "::1", path: "r"},
		"git@[example.com:2222]:r":        {scheme: "ssh", user: "git", host: "example.com", port: "2222", path: "r"},
		"git://example.com/r":             {scheme: "git", host: "example.com", path: "/r"},
		"git://example.com:9419/~u/r":     {scheme: "git", host: "example.com", port: "9419", path: "~u/r"},
		"/srv/git/r.git/":                 {scheme: "file", path: "/srv/git/r.git"},
		"../r":                            {scheme: "file", path: "/etc/r"},
		"./a:b":                           {scheme: "file", path: "/etc/etchserver/a:b"},
		"/srv/a:b":                        {scheme: "file", path: "/srv/a:b"},
		"file:///srv/r%20x":               {scheme: "file", path: "/srv/r%20x"},
		"file://localhost/srv/r":          {scheme: "file", path: "/srv/r"},
		"file://server/share":             {},
		"ftp://example.com/r":             {},
		"ext::sh -c 'touch /tmp/x'":       {},
		"fd::17":                          {},
		"https://example.com":             {},
		"https:///r":                      {},
		"ssh://-oProxyCommand=x/r":        {},
		"-oProxyCommand=x:r":              {scheme: "file", path: "/etc/etchserver/-oProxyCommand=x:r"},
		"https://example.com/r\nHost: x":  {},
		"":                                {},
		"https://user:pa%zz@example.com/": {},
	} {
		got, err := parseGitURL(raw, "/etc/etchserver")
		if want == (gitURL{}) {
			if err == nil {
				t.Errorf("%q was taken for %+v", raw, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q:\ngot  %+v, %v\nwant %+v", raw, got, err, want)
		}
	}
}

func TestRedactRemovesSecretsAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      "",
		"no URL at all: a@b":                    "no URL at all: a@b",
		"https://example.com/r.git":             "https://example.com/r.git",
		"GET https://u:secret@example.com/r":    "GET https://***@example.com/r",
		"https://ghp_token@github.com/o/r":      "https://***@github.com/o/r",
		"HTTPS://u:s@x/r and http://v:t@y/s":    "HTTPS://***@x/r and http://***@y/s",
		"https://u:se@cret@example.com/r":       "https://***@example.com/r",
		"ssh://git@example.com/r":               "ssh://git@example.com/r",
		"ssh://git:secret@example.com/r":        "ssh://git:***@example.com/r",
		"git@example.com:r":                     "git@example.com:r",
		`Get "https://u:s@x/r?private_token=1"`: `Get "https://***@x/r?***"`,
		"https://example.com/r?token=abc#x":     "https://example.com/r?***#x",
		"a question? yes":                       "a question? yes",
	} {
		if got := redact(text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
	if got := redact("with s3cr3t%21 and s3cr3t! inside", "s3cr3t!"); strings.Contains(got, "s3cr3t") {
		t.Errorf("got %q", got)
	}
}

func TestRedactNeverLetsAPasswordThrough(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		secret := rapid.StringMatching(`[ -~]{6,20}`).Draw(t, "secret")
		u := url.URL{
			Scheme: rapid.SampledFrom([]string{"http", "https", "ssh", "git"}).Draw(t, "scheme"),
			User:   url.UserPassword("user", secret),
			Host:   "example.com",
			Path:   "/r.git",
		}
		text := "Get \"" + u.String() + "/info/refs\": refused; " + secret
		if got := redact(text, secret); strings.Contains(got, secret) || strings.Contains(got, u.User.String()) {
			t.Fatalf("%q was redacted to %q", text, got)
		}
		if got := redact(u.String()); strings.Contains(got, strings.TrimPrefix(u.User.String(), "user:")) {
			t.Fatalf("%q was redacted to %q", u.String(), got)
		}
	})
}

func FuzzGitURL(f *testing.F) {
	for _, raw := range []string{"https://u:p@h/r", "git@h:r", "[::1]:r", "file:///x", "ext::x", "a:b@c:d"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := parseGitURL(raw, "/base")
		if err != nil {
			return
		}
		file := u.scheme == "file"
		if u.path == "" || file && u.path[0] != '/' || !file && (u.host == "" || u.host[0] == '-') {
			t.Fatalf("%q was taken for %+v", raw, u)
		}
	})
}
