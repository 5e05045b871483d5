package wire

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/etch/etchtag/snapshot/source/remote"
)

// sshSession is a conversation with git-upload-pack on an ssh server.
type sshSession struct {
	streamSession
	process *remote.SSHProcess
	server  remote.SSHTarget
}

// dialSSH runs git-upload-pack on an ssh server.
func dialSSH(auth remote.Auth, u URL) (packSession, error) {
	if u.password != "" {
		return nil, errors.New("the URL has a password, which ssh does not take: use a key")
	}
	server := remote.SSHTarget{Auth: auth, User: u.user, Host: u.Host, Port: u.Port}
	p, err := server.Start(uploadPack + " " + shellQuote(u.Path))
	if err != nil {
		return nil, err
	}
	return &sshSession{streamSession{conn: p}, p, server}, nil
}

func (s *sshSession) advertised(ctx context.Context) (*advertisement, error) {
	adv, err := s.streamSession.advertised(ctx)
	if (errors.Is(err, errNoAnswer) || errors.Is(err, errHalfAnswer)) && s.process.Over() {
		if said := s.process.Words(); said != "" {
			err = fmt.Errorf("%w; it says: %s", err, said)
		}
	}
	return adv, s.server.Explain(ctx, err)
}

func (s *sshSession) uploadPack(ctx context.Context, request []byte) (io.ReadCloser, error) {
	answer, err := s.streamSession.uploadPack(ctx, request)
	if errors.Is(err, syscall.EPIPE) {
		err = cmp.Or(s.process.Failure(), err)
	}
	return answer, err
}
