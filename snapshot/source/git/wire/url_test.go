package wire

import (
	"net/url"
	"testing"
)

func TestRepositoryURLsAreTakenApartAsGitDoes(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]URL{
		"https://example.com/a/b.git":        {Scheme: "https", Host: "example.com", Path: "/a/b.git"},
		"https://u:p%40ss@example.com:8443/": {},
		"https://u:p%40ss@example.com:8443/r%20x": {
			Scheme: "https", user: "u", password: "p@ss", Host: "example.com", Port: "8443", Path: "/r%20x",
		},
		"http://[::1]:80/r":               {Scheme: "http", Host: "::1", Port: "80", Path: "/r"},
		"ssh://git@example.com:2222/a/b":  {Scheme: "ssh", user: "git", Host: "example.com", Port: "2222", Path: "/a/b"},
		"ssh://example.com/~joe/r":        {Scheme: "ssh", Host: "example.com", Path: "~joe/r"},
		"git+ssh://example.com/r%20x":     {Scheme: "ssh", Host: "example.com", Path: "/r x"},
		"git@example.com:a/b.git":         {Scheme: "ssh", user: "git", Host: "example.com", Path: "a/b.git"},
		"example.com:/srv/r":              {Scheme: "ssh", Host: "example.com", Path: "/srv/r"},
		"me@corp.example@host:r":          {Scheme: "ssh", user: "me@corp.example", Host: "host", Path: "r"},
		"git@[::1]:r":                     {Scheme: "ssh", user: "git", Host: "::1", Path: "r"},
		"git@[example.com:2222]:r":        {Scheme: "ssh", user: "git", Host: "example.com", Port: "2222", Path: "r"},
		"git://example.com/r":             {Scheme: "git", Host: "example.com", Path: "/r"},
		"git://example.com:9419/~u/r":     {Scheme: "git", Host: "example.com", Port: "9419", Path: "~u/r"},
		"/srv/git/r.git/":                 {Scheme: "file", Path: "/srv/git/r.git"},
		"../r":                            {Scheme: "file", Path: "/etc/r"},
		"./a:b":                           {Scheme: "file", Path: "/etc/etchserver/a:b"},
		"/srv/a:b":                        {Scheme: "file", Path: "/srv/a:b"},
		"file:///srv/r%20x":               {Scheme: "file", Path: "/srv/r%20x"},
		"file://localhost/srv/r":          {Scheme: "file", Path: "/srv/r"},
		"file://server/share":             {},
		"ftp://example.com/r":             {},
		"ext::sh -c 'touch /tmp/x'":       {},
		"fd::17":                          {},
		"https://example.com":             {},
		"https:///r":                      {},
		"ssh://-oProxyCommand=x/r":        {},
		"-oProxyCommand=x:r":              {Scheme: "file", Path: "/etc/etchserver/-oProxyCommand=x:r"},
		"https://example.com/r\nHost: x":  {},
		"":                                {},
		"https://user:pa%zz@example.com/": {},
	} {
		got, err := ParseURL(raw, "/etc/etchserver")
		if want == (URL{}) {
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

func FuzzGitURL(f *testing.F) {
	for _, raw := range []string{"https://u:p@h/r", "git@h:r", "[::1]:r", "file:///x", "ext::x", "a:b@c:d"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := ParseURL(raw, "/base")
		if err != nil {
			return
		}
		file := u.Scheme == "file"
		if u.Path == "" || file && u.Path[0] != '/' || !file && (u.Host == "" || u.Host[0] == '-') {
			t.Fatalf("%q was taken for %+v", raw, u)
		}
	})
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
