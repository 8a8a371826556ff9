// The files that the doors work on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/strict_json.h"
#include "oci/document.h"
#include "stepdown/identity.h"
#include "sys/fd.h"

namespace stepdown::oci {

// All of stdin, up to the limit of document.h. Error: it is a terminal, longer, or can't be read.
std::string read_stdin(const std::string& step);

// Error: missing, not regular, above the limit.
std::string read_document(const std::string& path);

// The same of a bundle's config.json, which the runtime opens once more: no magic link
// (/proc/PID/fd) leads there, for it would still give the old file when the new one has taken its
// name.
std::string read_config(const std::string& path);

// Replaces the file in one go, with the mode and owner that it has. Error: nothing has changed, or
// `path` doesn't lead to the new file.
void replace_document(const std::string& path, const json::Json& document);

// The root filesystem of a container, pinned: a directory reached without magic links.
// `root` is relative to `bundle` or absolute. Error, step "root.path".
sys::Fd open_root(const std::string& bundle, const std::string& root);

// The account files inside, which the image may have forged. Errors as read_account_files; messages
// say "/etc/passwd (in the image)".
AccountFiles read_account_files_in(const sys::Fd& root);

// Where --inject has the launcher mounted: in the root itself, at a name that is free or a regular
// file's. Error: a link or anything else is there, or the root would be one of the `mounts`.
void refuse_taken_place(const sys::Fd& root, const std::vector<Mount>& mounts);

// Makes this process unreadable for its user's other processes (PR_SET_DUMPABLE, 0): nobody in the
// container opens /proc/PID/exe or /proc/PID/fd of it. Error.
void become_undumpable();

}  // namespace stepdown::oci
