// Reading the account files as whole texts.
#include <cstddef>
#include <string>

#include "stepdown/identity.h"
#include "sys/regular_file.h"

namespace stepdown {

namespace {

constexpr std::size_t largest_file = std::size_t{10} << 20U;

std::string read_account_file(const std::string& path) {
  auto file = sys::read_regular_file(path, largest_file, "account file");
  return file ? std::move(file->text) : std::string();
}

std::string read_account_file_in(int root, const std::string& path, const std::string& name) {
  auto file = sys::read_regular_file_in(root, path, name, largest_file, "account file");
  return file ? std::move(file->text) : std::string();
}

}  // namespace

AccountFiles read_account_files(const std::string& passwd_path, const std::string& group_path) {
  return {.passwd = read_account_file(passwd_path),
          .group = read_account_file(group_path),
          .passwd_path = passwd_path,
          .group_path = group_path};
}

AccountFiles read_account_files_in(int root) {
  AccountFiles files;
  files.passwd_path = "/etc/passwd (in the image)";
  files.group_path = "/etc/group (in the image)";
  files.passwd = read_account_file_in(root, "/etc/passwd", files.passwd_path);
  files.group = read_account_file_in(root, "/etc/group", files.group_path);
  return files;
}

void read_subordinate_files(AccountFiles& files) {
  files.subuid = read_account_file(files.subuid_path);
  files.subgid = read_account_file(files.subgid_path);
}

}  // namespace stepdown
