package remote

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
)

// Expressions are compiled when they are needed: every run of the resolver would wait for them.
var (
	urlUserinfo = LazyRegexp(`(?i)\b([a-z][a-z0-9+.-]*)://([^/?#\s"'@]*(?:@[^/?#\s"'@]*)*)@`)
	urlQuery    = LazyRegexp(`(?i)\b(https?://[^\s"'?#]+)\?[^\s"'#]+`)
)

// LazyRegexp compiles an expression when it is first asked for, because most runs need none.
func LazyRegexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// Redact removes what may be secret from a text for a message: passwords in URLs, user names in web
// URLs (which are often tokens), the queries of those, and every one of secrets.
func Redact(text string, secrets ...string) string {
	text = urlUserinfo().ReplaceAllStringFunc(text, func(match string) string {
		scheme, userinfo, _ := strings.Cut(match, "://")
		userinfo = strings.TrimSuffix(userinfo, "@")
		name, _, hasPassword := strings.Cut(userinfo, ":")
		switch {
		case strings.HasPrefix(strings.ToLower(scheme), "http"):
			return scheme + "://***@"
		case hasPassword:
			return scheme + "://" + name + ":***@"
		}
		return match
	})
	text = urlQuery().ReplaceAllString(text, "$1?***")
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if len(form) > 0 {
				text = strings.ReplaceAll(text, form, "***")
			}
		}
	}
	return text
}

// RedactedError has the text of another error without secrets.
type RedactedError struct {
	Text string
	Err  error
}

func (e *RedactedError) Error() string { return e.Text }

func (e *RedactedError) Unwrap() error { return e.Err }

// RedactError removes secrets from an error's text; what the error wraps can still be asked for.
func RedactError(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := Redact(err.Error(), secrets...)
	if text == err.Error() {
		return err
	}
	return &RedactedError{text, err}
}
