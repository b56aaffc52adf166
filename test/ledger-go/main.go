// A second opinion on Verbatim's ledger by code that knows nothing of Verbatim: Go's signed notes and transparency
// logs. Reads one JSON request on stdin, writes one JSON answer on stdout; what it refuses exits 1 with the reason.
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	VerifierKey string   `json:"verifierKey"`
	Note        string   `json:"note"`
	Leaves      [][]byte `json:"leaves"` // base64 in JSON
	// If set, this text is signed with a fresh key as well, for the other side to open.
	Sign string `json:"sign"`
	Name string `json:"name"`
}

type answer struct {
	Origin    string `json:"origin"`
	Size      int64  `json:"size"`
	Root      string `json:"root"`     // of the note, base64
	Computed  string `json:"computed"` // from the leaves, base64
	SignedKey string `json:"signedKey,omitempty"`
	Signed    string `json:"signed,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var req request
	if err := json.NewDecoder(os.Stdin).Decode(&req); err != nil {
		return err
	}
	ans, err := open(req)
	if err != nil {
		return err
	}
	if req.Sign != "" {
		if err := sign(req, ans); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(ans)
}

func open(req request) (*answer, error) {
	verifier, err := note.NewVerifier(req.VerifierKey)
	if err != nil {
		return nil, err
	}
	opened, err := note.Open([]byte(req.Note), note.VerifierList(verifier))
	if err != nil {
		return nil, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return nil, errors.New("the note is no checkpoint of three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return nil, err
	}
	if size > int64(len(req.Leaves)) {
		return nil, errors.New("the checkpoint covers more leaves than there are")
	}
	root, err := treeRoot(req.Leaves[:size])
	if err != nil {
		return nil, err
	}
	computed := base64.StdEncoding.EncodeToString(root[:])
	return &answer{Origin: lines[0], Size: size, Root: lines[2], Computed: computed}, nil
}

func treeRoot(leaves [][]byte) (tlog.Hash, error) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = stored[index]
		}
		return hashes, nil
	})
	for n, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(n), leaf, reader)
		if err != nil {
			return tlog.Hash{}, err
		}
		stored = append(stored, hashes...)
	}
	return tlog.TreeHash(int64(len(leaves)), reader)
}

func sign(req request, ans *answer) error {
	secret, public, err := note.GenerateKey(nil, req.Name)
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: req.Sign}, signer)
	if err != nil {
		return err
	}
	ans.SignedKey, ans.Signed = public, string(signed)
	return nil
}
