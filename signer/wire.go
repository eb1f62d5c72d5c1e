package signer

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame is a length of two bytes, big endian, and that many bytes:
//
//	request  version (1) ‖ operation (1) ‖ arguments
//	answer   version (1) ‖ status (1) ‖ result
//
//	list                                  → count (1), then each key
//	generate  alg (1)                     → the key
//	sign      alg (1) ‖ id (32) ‖ digest (32) → signature
//	destroy   id (32)                     → nothing
//
//	key       alg (1) ‖ length (2) ‖ PKIX public key
//
// Every length is exact: a byte too many is malformed. One connection carries one
// request at a time.
const wireVersion = 1

type operation byte

const (
	opList     operation = 1
	opSign     operation = 2
	opGenerate operation = 3
	opDestroy  operation = 4
)

type status byte

const (
	statusOK        status = 0
	statusNoKey     status = 1
	statusRefused   status = 2
	statusFailed    status = 3 // the token did not work
	statusMalformed status = 4
)

const (
	maxRequest = 2 + 1 + 2*sha256.Size
	maxAnswer  = 1<<16 - 1
	maxKeys    = 100
	maxPublic  = 600 // bytes: RSA of 4096 bits has 550
)

var errMalformed = errors.New("signer: malformed")

// request is one question.
type request struct {
	op     operation
	alg    Alg   // sign, generate
	id     KeyID // sign, destroy
	digest [sha256.Size]byte
}

func (r request) encode() []byte {
	b := []byte{wireVersion, byte(r.op)}
	if r.op == opSign || r.op == opGenerate {
		b = append(b, byte(r.alg))
	}
	if r.op == opSign || r.op == opDestroy {
		b = append(b, r.id[:]...)
	}
	if r.op == opSign {
		b = append(b, r.digest[:]...)
	}
	return b
}

// parseRequest reads what encode wrote. An algorithm that we do not have is well
// formed: the server refuses it in words.
func parseRequest(b []byte) (request, error) {
	if len(b) < 2 || b[0] != wireVersion {
		return request{}, errMalformed
	}
	r := request{op: operation(b[1])}
	rest := b[2:]
	size := map[operation]int{opList: 0, opSign: 1 + 2*sha256.Size, opGenerate: 1, opDestroy: sha256.Size}
	if want, known := size[r.op]; !known || len(rest) != want {
		return request{}, errMalformed
	}
	if r.op == opSign || r.op == opGenerate {
		r.alg, rest = Alg(rest[0]), rest[1:]
	}
	if r.op == opSign || r.op == opDestroy {
		rest = rest[copy(r.id[:], rest):]
	}
	if r.op == opSign {
		copy(r.digest[:], rest)
	}
	return r, nil
}

func encodeKeys(ks []Key) ([]byte, error) {
	if len(ks) > maxKeys {
		return nil, fmt.Errorf("signer: %d keys are more than %d", len(ks), maxKeys)
	}
	b := []byte{byte(len(ks))}
	for _, k := range ks {
		if len(k.Public) > maxPublic {
			return nil, errors.New("signer: a public key is too large")
		}
		b = append(b, byte(k.Alg))
		b = binary.BigEndian.AppendUint16(b, uint16(len(k.Public)))
		b = append(b, k.Public...)
	}
	return b, nil
}

func parseKeys(b []byte) ([]Key, error) {
	if len(b) == 0 || b[0] > maxKeys {
		return nil, errMalformed
	}
	ks := make([]Key, 0, b[0])
	rest := b[1:]
	for range b[0] {
		if len(rest) < 3 {
			return nil, errMalformed
		}
		alg, n := Alg(rest[0]), int(binary.BigEndian.Uint16(rest[1:]))
		rest = rest[3:]
		if alg.String() == "" || n > maxPublic || n > len(rest) {
			return nil, errMalformed
		}
		ks = append(ks, Key{Alg: alg, Public: rest[:n:n]})
		rest = rest[n:]
	}
	if len(rest) > 0 {
		return nil, errMalformed
	}
	return ks, nil
}

// readFrame refuses a frame of more than limit bytes before it reads it. begun,
// if not nil, is called between length and body.
func readFrame(r io.Reader, limit int, begun func() error) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if n > limit {
		return nil, errMalformed
	}
	if begun != nil {
		if err := begun(); err != nil {
			return nil, err
		}
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// writeFrame writes b, which is at most maxAnswer long, in one piece.
func writeFrame(w io.Writer, b []byte) error {
	frame := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(b)), uint16(len(b)))
	_, err := w.Write(append(frame, b...))
	return err
}
