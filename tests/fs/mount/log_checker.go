// log_checker: holds a log in C2SP's tlog-tiles against its key, by Go's sumdb/note and sumdb/tlog alone.
//
//	log_checker DIRECTORY KEY [OLDER-CHECKPOINT…]
//
// Every record is read and its hash looked up in the tree of the checkpoint; the log must go on from each older
// checkpoint. Exit code 1 and a line on standard error when something does not fit.
package main

import (
	"bytes"
	"encoding/binary"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type reader struct{ directory string }

func (r reader) Height() int { return height }

func (r reader) SaveTiles([]tlog.Tile, [][]byte) {}

// Go's paths name the height first and call entries data.
func (r reader) path(tile tlog.Tile) string {
	rest := strings.TrimPrefix(tile.Path(), "tile/8/")
	return filepath.Join(r.directory, "tile", strings.Replace(rest, "data/", "entries/", 1))
}

func (r reader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		data, err := os.ReadFile(r.path(tile))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// The tree that a checkpoint signed by the key is of.
func open(path string, verifier note.Verifier) (tlog.Tree, error) {
	var tree tlog.Tree
	text, err := os.ReadFile(path)
	if err != nil {
		return tree, err
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tree, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tree, errors.New("its root is no hash")
	}
	tree.N = size
	copy(tree.Hash[:], root)
	return tree, nil
}

func entries(data []byte) ([][]byte, error) {
	var all [][]byte
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, errors.New("ends within an entry")
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		all = append(all, data[2:end])
		data = data[end:]
	}
	return all, nil
}

func checkEntries(r reader, tree tlog.Tree, hashes tlog.HashReader) error {
	for first := int64(0); first < tree.N; first += 1 << height {
		tile := tlog.Tile{H: height, L: -1, N: first >> height, W: 1 << height}
		if tree.N-first < 1<<height {
			tile.W = int(tree.N - first)
		}
		data, err := os.ReadFile(r.path(tile))
		if err != nil {
			return err
		}
		records, err := entries(data)
		if err != nil || len(records) != tile.W {
			return fmt.Errorf("%s: %d entries instead of %d (%v)", r.path(tile), len(records), tile.W, err)
		}
		var indexes []int64
		for i := range records {
			indexes = append(indexes, tlog.StoredHashIndex(0, first+int64(i)))
		}
		stored, err := hashes.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, record := range records {
			if tlog.RecordHash(record) != stored[i] {
				return fmt.Errorf("record %d is not the one in the tree", first+int64(i))
			}
			if !bytes.HasPrefix(record, []byte(fmt.Sprintf(`{"seq":%d,`, first+int64(i)))) {
				return fmt.Errorf("record %d says that it is another", first+int64(i))
			}
		}
	}
	return nil
}

func run() error {
	if len(os.Args) < 3 {
		return errors.New("usage: log_checker DIRECTORY KEY [OLDER-CHECKPOINT…]")
	}
	r := reader{os.Args[1]}
	verifier, err := note.NewVerifier(os.Args[2])
	if err != nil {
		return err
	}
	tree, err := open(filepath.Join(r.directory, "checkpoint"), verifier)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, r)
	if err := checkEntries(r, tree, hashes); err != nil {
		return err
	}
	for _, path := range os.Args[3:] {
		older, err := open(path, verifier)
		if err != nil {
			return fmt.Errorf("%s: %v", path, err)
		}
		if older.N > tree.N {
			return fmt.Errorf("%s has %d records, the log has %d", path, older.N, tree.N)
		}
		proof, err := tlog.ProveTree(tree.N, older.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, older.N, older.Hash); err != nil {
			return fmt.Errorf("%s: %v", path, err)
		}
	}
	fmt.Println(tree.N)
	return nil
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "log_checker:", err)
		os.Exit(1)
	}
}
