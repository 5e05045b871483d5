package remote

import (
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

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
		if got := Redact(text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
	if got := Redact("with s3cr3t%21 and s3cr3t! inside", "s3cr3t!"); strings.Contains(got, "s3cr3t") {
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
		if got := Redact(text, secret); strings.Contains(got, secret) || strings.Contains(got, u.User.String()) {
			t.Fatalf("%q was redacted to %q", text, got)
		}
		if got := Redact(u.String()); strings.Contains(got, strings.TrimPrefix(u.User.String(), "user:")) {
			t.Fatalf("%q was redacted to %q", u.String(), got)
		}
	})
}
