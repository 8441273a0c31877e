// SPDX-License-Identifier: GPL-2.0-only

// Package ktree reads trees of kernel source: files, versions, names that headers declare, layouts of structures.
package ktree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// JITFile is where a kernel tree has the JIT.
const JITFile = "arch/x86/net/bpf_jit_comp.c"

// ErrNoFile says that a tree does not have a file.
var ErrNoFile = errors.New("no such file")

// maxFile bounds the files that are read; the largest that matters has 1.2 MB.
const maxFile = 8 << 20

// Tree is a kernel source tree, or as much as there is of one.
type Tree interface {
	// ReadFile returns a file by its path in the tree; ErrNoFile if there is none.
	ReadFile(name string) ([]byte, error)
	// Shown is how a file is named in messages.
	Shown(name string) string
}

// Open opens what a user names: a kernel tree, a revision of a git tree as TREE@REVISION, or a lone C file,
// which stands for JITFile.
func Open(name string) (Tree, error) {
	if name == "" {
		return nil, errors.New("no kernel source named: expected TREE, TREE@REVISION or FILE.c")
	}
	info, err := os.Stat(name)
	if err != nil {
		if dir, rev, ok := cutRevision(name); ok {
			return openGit(dir, rev)
		}
		return nil, fmt.Errorf("kernel source %s: %w", name, errors.Unwrap(err))
	}
	if info.Mode().IsRegular() {
		return lone(name), nil
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("kernel source %s is neither a folder nor a C file", name)
	}
	t := folder(name)
	if _, err := t.ReadFile(JITFile); err != nil {
		return nil, fmt.Errorf("kernel source %s: %s: %w (expected the root of a kernel tree)", name, JITFile, err)
	}
	return t, nil
}

// cutRevision splits TREE@REVISION at the first "@" before which there is a folder.
func cutRevision(name string) (dir, rev string, ok bool) {
	for i := range len(name) {
		if name[i] != '@' || i == 0 {
			continue
		}
		if info, err := os.Stat(name[:i]); err == nil && info.IsDir() {
			return name[:i], name[i+1:], name[i+1:] != ""
		}
	}
	return "", "", false
}

// folder is a tree in a folder.
type folder string

func (t folder) Shown(name string) string { return filepath.Join(string(t), filepath.FromSlash(name)) }

func (t folder) ReadFile(name string) ([]byte, error) {
	return ReadFile(filepath.Join(string(t), filepath.FromSlash(name)))
}

func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrNoFile
	case err != nil:
		return nil, errors.Unwrap(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%d bytes are too many for a source file", info.Size())
	}
	return os.ReadFile(name)
}

// lone is a C file without a tree.
type lone string

func (t lone) Shown(string) string { return string(t) }

func (t lone) ReadFile(name string) ([]byte, error) {
	if name != JITFile {
		return nil, ErrNoFile
	}
	return ReadFile(string(t))
}

// gitTree is a revision of a git tree, read without a checkout.
type gitTree struct{ dir, rev, commit string }

var commitName = regexp.MustCompile(`^[0-9a-f]{40,64}$`)

func openGit(dir, rev string) (Tree, error) {
	t := &gitTree{dir: dir, rev: rev}
	out, err := t.git("rev-parse", "--verify", "--end-of-options", rev+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("kernel source %s: revision %s: %w", dir, rev, err)
	}
	t.commit = strings.TrimSpace(string(out))
	if !commitName.MatchString(t.commit) {
		return nil, fmt.Errorf("kernel source %s: revision %s: git answers %q", dir, rev, t.commit)
	}
	if _, err := t.ReadFile(JITFile); err != nil {
		return nil, fmt.Errorf("kernel source %s: revision %s: %s: %w", dir, rev, JITFile, err)
	}
	return t, nil
}

func (t *gitTree) Shown(name string) string { return t.dir + "@" + t.rev + ":" + name }

func (t *gitTree) ReadFile(name string) ([]byte, error) {
	size, err := t.git("cat-file", "-s", t.commit+":"+path.Clean(name))
	if err != nil {
		return nil, ErrNoFile
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(size))); err != nil || n > maxFile {
		return nil, fmt.Errorf("%s bytes are too many for a source file", strings.TrimSpace(string(size)))
	}
	return t.git("cat-file", "blob", t.commit+":"+path.Clean(name))
}

// git runs git in the tree.
func (t *gitTree) git(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", t.dir}, args...)...)
	var out, msg bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &msg
	if err := cmd.Run(); err != nil {
		if text, _, _ := strings.Cut(strings.TrimSpace(msg.String()), "\n"); text != "" {
			return nil, errors.New(text)
		}
		return nil, err
	}
	return out.Bytes(), nil
}
