// A model of a filesystem and a random workload that changes both, so that the two can be compared by any reader.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "libfs/base/error.h"
#include "libfs/volume/filesystem.h"

namespace xdax::test {

struct ModelNode {
  FileType type = FileType::kRegular;
  std::uint32_t mode = 0, uid = 0;
  std::string content;  ///< of a file; the target of a link
  std::map<std::string, std::shared_ptr<ModelNode>> names;
  std::map<std::string, std::string> attributes;  ///< of the user namespace
  InodeNumber ino;
  ModelNode* parent = nullptr;
};

/// Compares what a reader sees with the model. Returns the first difference, or nothing.
class ModelCompare {
 public:
  explicit ModelCompare(const Volume& volume) : volume_(volume) {}

  [[nodiscard]] std::string difference(const ModelNode& node, InodeNumber ino, const std::string& path) {
    const Inode inode = volume_.inode(ino);
    if (inode.type() != node.type) return path + ": another type";
    if ((inode.core().mode & 07777u) != node.mode || inode.core().uid != node.uid)
      return path + ": another mode or owner";
    std::string attributes = attribute_difference(node, ino);
    if (!attributes.empty()) return path + ": " + attributes;
    switch (node.type) {
      case FileType::kDirectory:
        return directory(node, ino, path);
      case FileType::kRegular: {
        if (inode.core().size != node.content.size()) {
          return fmt::format("{}: size {} where {} ought to be", path, inode.core().size.get(), node.content.size());
        }
        std::string content(node.content.size(), '\0');
        FileReader file = volume_.file(ino);
        if (file.read(0, std::as_writable_bytes(std::span(content))) != content.size()) return path + ": cut short";
        if (content == node.content) return "";
        const auto at = std::mismatch(content.begin(), content.end(), node.content.begin()).first - content.begin();
        return fmt::format("{}: other bytes at {}", path, at);
      }
      case FileType::kSymlink:
        return volume_.symlink(ino) == node.content ? "" : path + ": another target";
      default:
        return "";
    }
  }

 private:
  [[nodiscard]] std::string attribute_difference(const ModelNode& node, InodeNumber ino) {
    Attributes attributes = volume_.attributes(ino);
    const auto list = attributes.list();
    if (list.size() != node.attributes.size()) return "another number of attributes";
    for (const auto& [name, value] : node.attributes) {
      const auto found = attributes.get(AttrNamespace::kUser, name);
      if (!found) return "no attribute " + name;
      const auto expected = std::as_bytes(std::span(value));
      if (!std::equal(found->begin(), found->end(), expected.begin(), expected.end()))
        return "another value of " + name;
    }
    return "";
  }

  [[nodiscard]] std::string directory(const ModelNode& node, InodeNumber ino, const std::string& path) {
    Directory directory = volume_.directory(ino);
    std::set<std::string> seen;
    for (const DirItem& item : directory.list()) {
      const auto found = node.names.find(item.name);
      if (found == node.names.end()) return path + "/" + item.name + ": ought not to be there";
      if (!seen.insert(item.name).second) return path + "/" + item.name + ": there twice";
      if (item.type != dir_file_type_of(found->second->type))
        return path + "/" + item.name + ": another type in its entry";
      std::string below = difference(*found->second, item.ino, path + "/" + item.name);
      if (!below.empty()) return below;
    }
    if (seen.size() != node.names.size()) return path + ": names are missing";
    std::uint32_t links = 2;
    for (const auto& [name, child] : node.names) links += child->type == FileType::kDirectory ? 1 : 0;
    return volume_.inode(ino).core().nlink == links ? "" : path + ": another number of links";
  }

  const Volume& volume_;
};

/// A seeded stream of operations, each done to the filesystem and, when that did it, to the model.
class RandomWork {
 public:
  /// In a directory that is empty, of which nobody else knows.
  RandomWork(Filesystem& filesystem, std::uint64_t seed, InodeNumber folder) : filesystem_(&filesystem), random_(seed) {
    root_.type = FileType::kDirectory;
    root_.mode = filesystem.read([&](const Volume& volume) { return volume.inode(folder).core().mode & 07777u; });
    root_.ino = folder;
    directories_.push_back(&root_);
  }

  RandomWork(Filesystem& filesystem, std::uint64_t seed) : RandomWork(filesystem, seed, filesystem.root()) {}

  void use(Filesystem& filesystem) { filesystem_ = &filesystem; }
  [[nodiscard]] ModelNode& root() { return root_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  /// How often blocks were shared.
  [[nodiscard]] std::uint64_t shared() const { return shared_; }
  [[nodiscard]] std::string difference() {
    return filesystem_->read(
        [&](const Volume& volume) { return ModelCompare(volume).difference(root_, root_.ino, ""); });
  }
  /// How large files get, and how many names a directory may have before more go than come.
  std::uint64_t max_file_bytes = 300'000;
  std::size_t max_names = 400;

  void step() {
    try {
      one();
    } catch (const RefusalError& refusal) {
      // Space may end; the model must then be as it was.
      if (refusal.cause() != Errc::kNoSpace) throw;
      ++refused_;
    }
  }

 private:
  std::uint64_t pick(std::uint64_t below) { return below == 0 ? 0 : random_() % below; }

  std::string name() {
    constexpr std::string_view kStems[] = {"a", "file", "a-rather-longer-name-for-a-file", "x"};
    std::string text = std::string(kStems[pick(4)]) + std::to_string(pick(3000));
    if (pick(12) == 0) text += std::string(pick(220 - text.size() % 40), static_cast<char>('a' + pick(26)));
    return text;
  }

  ModelNode& directory() { return *directories_[pick(directories_.size())]; }

  // Some name of some directory, of a type that `wanted` accepts.
  template <class Wanted>
  std::pair<ModelNode*, std::string> some(const Wanted& wanted) {
    for (int tries = 0; tries < 20; ++tries) {
      ModelNode& where = directory();
      if (where.names.empty()) continue;
      auto at = where.names.begin();
      std::advance(at, static_cast<std::ptrdiff_t>(pick(std::min<std::size_t>(where.names.size(), 60))));
      if (wanted(*at->second)) return {&where, at->first};
    }
    return {nullptr, ""};
  }

  std::string bytes(std::size_t count) {
    std::string text(count, '\0');
    const auto seed = static_cast<unsigned char>(random_());
    for (std::size_t i = 0; i < count; ++i) text[i] = static_cast<char>(seed + i * 7 + i / 251);
    return text;
  }

  void one() {
    const std::uint64_t what = pick(100);
    if (what < 22) return create();
    if (what < 28) return make_directory();
    if (what < 32) return make_symlink();
    if (what < 34) return make_node();
    if (what < 38) return link();
    if (what < 52) return remove();
    if (what < 60) return rename();
    if (what < 62) return permissions();
    if (what < 70) return attribute();
    return file();
  }

  void create() {
    ModelNode& where = directory();
    if (where.names.size() > max_names) return remove();
    const std::string text = name();
    add(where, text, FileType::kRegular, 0600,
        [&](const NewFile& file) { return filesystem_->create(where.ino, text, file); });
  }

  template <class Make>
  ModelNode* add(ModelNode& where, const std::string& text, FileType type, std::uint32_t mode, const Make& make) {
    NewFile file{.mode = mode, .uid = static_cast<std::uint32_t>(pick(3))};
    if (where.names.contains(text)) {
      EXPECT_THROW((void)make(file), RefusalError);
      return nullptr;
    }
    auto node = std::make_shared<ModelNode>();
    node->type = type;
    node->mode = mode;
    node->uid = file.uid;
    node->ino = make(file);
    node->parent = &where;
    where.names.emplace(text, node);
    return node.get();
  }

  void make_directory() {
    if (directories_.size() > 12) return remove();
    ModelNode& where = directory();
    const std::string text = name();
    ModelNode* made = add(where, text, FileType::kDirectory, 0755,
                          [&](const NewFile& file) { return filesystem_->make_directory(where.ino, text, file); });
    if (made != nullptr) directories_.push_back(made);
  }

  void make_symlink() {
    ModelNode& where = directory();
    const std::string text = name();
    const std::string target = std::string(1 + pick(pick(3) == 0 ? 1023 : 200), 't');
    ModelNode* made = add(where, text, FileType::kSymlink, 0777, [&](const NewFile& file) {
      return filesystem_->make_symlink(where.ino, text, target, file);
    });
    if (made != nullptr) made->content = target;
  }

  void make_node() {
    ModelNode& where = directory();
    const std::string text = name();
    const FileType type = pick(2) == 0 ? FileType::kFifo : FileType::kCharacterDevice;
    add(where, text, type, 0640,
        [&](const NewFile& file) { return filesystem_->make_node(where.ino, text, type, 0x103, file); });
  }

  void link() {
    const auto [where, text] = some([](const ModelNode& node) { return node.type != FileType::kDirectory; });
    if (where == nullptr) return;
    const std::shared_ptr<ModelNode> node = where->names.at(text);
    ModelNode& to = directory();
    const std::string fresh = name();
    if (to.names.contains(fresh)) return;
    filesystem_->link(node->ino, to.ino, fresh);
    to.names.emplace(fresh, node);
  }

  void remove() {
    const auto [where, text] = some([](const ModelNode&) { return true; });
    if (where == nullptr) return;
    const std::shared_ptr<ModelNode> node = where->names.at(text);
    if (node->type != FileType::kDirectory) {
      filesystem_->unlink(where->ino, text);
    } else if (!node->names.empty()) {
      EXPECT_THROW(filesystem_->remove_directory(where->ino, text), RefusalError);
      return;
    } else {
      filesystem_->remove_directory(where->ino, text);
      std::erase(directories_, node.get());
    }
    where->names.erase(text);
  }

  [[nodiscard]] static bool inside(const ModelNode* node, const ModelNode* ancestor) {
    for (; node != nullptr; node = node->parent) {
      if (node == ancestor) return true;
    }
    return false;
  }

  void rename() {
    const auto [from, old_name] = some([](const ModelNode&) { return true; });
    if (from == nullptr) return;
    ModelNode& to = directory();
    const std::shared_ptr<ModelNode> node = from->names.at(old_name);
    std::string new_name = name();
    if (pick(3) == 0 && !to.names.empty())
      new_name =
          std::next(to.names.begin(), static_cast<std::ptrdiff_t>(pick(std::min<std::size_t>(to.names.size(), 40))))
              ->first;
    const auto mode = static_cast<RenameMode>(pick(3));
    const auto there = to.names.find(new_name);
    const bool folder = node->type == FileType::kDirectory;
    const std::shared_ptr<ModelNode> other = there == to.names.end() ? nullptr : there->second;
    const bool other_folder = other != nullptr && other->type == FileType::kDirectory;
    bool legal = !(folder && inside(&to, node.get()));
    if (mode == RenameMode::kExchange) {
      legal = legal && other != nullptr && !(other_folder && inside(from, other.get()));
    } else if (other != nullptr && mode == RenameMode::kNoReplace) {
      legal = false;
    } else if (other != nullptr && other != node) {
      legal = legal && folder == other_folder && other->names.empty();
    }
    if (other == node && mode != RenameMode::kNoReplace) return;  // two names of one file, or the same name
    if (!legal) {
      EXPECT_THROW(filesystem_->rename(from->ino, old_name, to.ino, new_name, mode), RefusalError);
      return;
    }
    filesystem_->rename(from->ino, old_name, to.ino, new_name, mode);
    if (mode == RenameMode::kExchange) {
      std::swap(from->names.at(old_name), to.names.at(new_name));
      other->parent = from;
    } else {
      if (other_folder) std::erase(directories_, other.get());
      from->names.erase(old_name);
      to.names[new_name] = node;
    }
    node->parent = &to;
  }

  void permissions() {
    const auto [where, text] = some([](const ModelNode& node) { return node.type != FileType::kSymlink; });
    if (where == nullptr) return;
    ModelNode& node = *where->names.at(text);
    node.mode = static_cast<std::uint32_t>(pick(01000));
    filesystem_->set_permissions(node.ino, node.mode);
  }

  void attribute() {
    const auto [where, text] = some([](const ModelNode&) { return true; });
    if (where == nullptr) return;
    ModelNode& node = *where->names.at(text);
    const std::string attribute =
        "attribute" + std::to_string(pick(40)) + std::string(pick(3) == 0 ? pick(200) : 0, 'n');
    if (pick(3) == 0 && !node.attributes.empty()) {
      const std::string gone = node.attributes.begin()->first;
      filesystem_->remove_attribute(node.ino, AttrNamespace::kUser, gone);
      node.attributes.erase(gone);
      return;
    }
    const std::string value = bytes(pick(pick(10) == 0 ? 9000 : 120));
    filesystem_->set_attribute(node.ino, AttrNamespace::kUser, attribute, std::as_bytes(std::span(value)));
    node.attributes[attribute] = value;
  }

  void file() {
    const auto [where, text] = some([](const ModelNode& node) { return node.type == FileType::kRegular; });
    if (where == nullptr) return;
    ModelNode& node = *where->names.at(text);
    std::string& content = node.content;
    const std::uint64_t block = filesystem_->geometry().block_bytes;
    const std::uint64_t at = pick(std::min(max_file_bytes, content.size() + 3 * block));
    const std::uint64_t length = 1 + pick(pick(3) == 0 ? 20 * block : 600);
    const auto grow = [&](std::uint64_t size) {
      if (content.size() < size) content.resize(size, '\0');
    };
    const auto zeros = [&](std::uint64_t from, std::uint64_t to) {
      to = std::min<std::uint64_t>(to, content.size());
      if (from < to)
        std::fill(content.begin() + static_cast<std::ptrdiff_t>(from),
                  content.begin() + static_cast<std::ptrdiff_t>(to), '\0');
    };
    switch (pick(15)) {
      case 9:
      case 12:
      case 13:
        return ranges(node);
      case 10:
      case 14:
        return exchange(node);
      case 11:
        return hints(node);
      case 0:
      case 1:
      case 2: {
        const std::string data = bytes(length);
        filesystem_->write(node.ino, at, std::as_bytes(std::span(data)));
        grow(at + length);
        content.replace(at, length, data);
        return;
      }
      case 3:
        filesystem_->truncate(node.ino, at);
        content.resize(at, '\0');
        return;
      case 4: {
        const bool keep = pick(2) == 0;
        filesystem_->allocate(node.ino, at, length, keep ? FileWriter::Grow::kNo : FileWriter::Grow::kYes);
        if (!keep) grow(at + length);
        return;
      }
      case 5:
        filesystem_->punch(node.ino, at, length);
        zeros(at, at + length);
        return;
      case 6:
        filesystem_->zero(node.ino, at, length, FileWriter::Grow::kNo);
        zeros(at, at + length);
        return;
      case 7: {
        const std::uint64_t from = at / block * block;
        const std::uint64_t size = block * (1 + pick(3));
        if (from + size >= content.size()) return;
        filesystem_->collapse(node.ino, from, size);
        content.erase(from, size);
        return;
      }
      default: {
        const std::uint64_t from = at / block * block;
        const std::uint64_t size = block * (1 + pick(3));
        if (from >= content.size()) return;
        filesystem_->insert(node.ino, from, size);
        content.insert(from, size, '\0');
        return;
      }
    }
  }

  // Shares, copies or compares a range of another file, or of the same one.
  void ranges(ModelNode& node) {
    const auto [where, text] = some([](const ModelNode& each) { return each.type == FileType::kRegular; });
    if (where == nullptr) return;
    ModelNode& source = *where->names.at(text);
    if (source.content.empty()) return;
    const std::uint64_t block = filesystem_->geometry().block_bytes;
    const bool aligned = pick(4) != 0;
    std::uint64_t from = pick(source.content.size());
    std::uint64_t to = pick(std::min(max_file_bytes, node.content.size() + 3 * block));
    if (aligned) {
      from = from / block * block;
      to = to / block * block;
    }
    std::uint64_t length = std::min<std::uint64_t>(1 + pick(24 * block), source.content.size() - from);
    const FilePlace at{.ino = source.ino, .offset_bytes = from}, into{.ino = node.ino, .offset_bytes = to};
    const bool apart = &source != &node || from + length + block <= to || to + length + block <= from;
    if (!apart) return;
    const auto copied = [&] {
      const std::string data = source.content.substr(from, length);
      if (node.content.size() < to + length) node.content.resize(to + length, '\0');
      node.content.replace(to, length, data);
    };
    const bool can_share = filesystem_->geometry().features.reflink();
    switch (pick(3)) {
      case 0: {
        EXPECT_EQ(filesystem_->copy(at, into, length), length);
        return copied();
      }
      case 1: {
        if (!aligned || !can_share) return;
        if (from + length != source.content.size() || to + length < node.content.size())
          length = length / block * block;
        if (length == 0) return;
        filesystem_->share(at, into, length);
        ++shared_;
        return copied();
      }
      default: {
        length =
            std::min<std::uint64_t>(length, node.content.size() - std::min<std::uint64_t>(to, node.content.size()));
        length = length / block * block;
        if (!aligned || !can_share || length == 0) return;
        const bool same = source.content.compare(from, length, node.content, to, length) == 0;
        EXPECT_EQ(filesystem_->deduplicate(at, into, length), same);
        return;
      }
    }
  }

  void exchange(ModelNode& node) {
    const auto [where, text] = some([](const ModelNode& each) { return each.type == FileType::kRegular; });
    if (where == nullptr) return;
    ModelNode& other = *where->names.at(text);
    const std::uint64_t block = filesystem_->geometry().block_bytes;
    const std::uint64_t from = pick(node.content.size() / block + 1) * block;
    const std::uint64_t to = pick(other.content.size() / block + 1) * block;
    const FilePlace one{.ino = node.ino, .offset_bytes = from}, two{.ino = other.ino, .offset_bytes = to};
    if (pick(2) == 0) {
      if (&other == &node) return;
      filesystem_->exchange_rest(one, two);
      const std::string rest = node.content.substr(from);
      node.content.replace(from, std::string::npos, other.content.substr(to));
      other.content.replace(to, std::string::npos, rest);
      return;
    }
    const std::uint64_t most = std::min(node.content.size() - from, other.content.size() - to) / block;
    const std::uint64_t length = pick(most + 1) * block;
    if (length == 0 || (&other == &node && from < to + length && to < from + length)) return;
    filesystem_->exchange(one, two, length);
    const std::string part = node.content.substr(from, length);
    node.content.replace(from, length, other.content.substr(to, length));
    other.content.replace(to, length, part);
  }

  // How space is to be allocated, which no byte tells.
  void hints(ModelNode& node) {
    const Geometry& geometry = filesystem_->geometry();
    const std::uint64_t hint = geometry.block_bytes * pick(9);
    if (pick(2) == 0 && geometry.features.reflink()) return filesystem_->set_copy_size_hint(node.ino, hint);
    const bool empty = filesystem_->read(
        [&](const Volume& volume) { return !volume.extents(node.ino, Fork::kData).next(FileBlock(0)).has_value(); });
    if (empty) filesystem_->set_extent_size_hint(node.ino, hint);
  }

  Filesystem* filesystem_;
  std::mt19937_64 random_;
  ModelNode root_;
  std::uint64_t shared_ = 0;
  std::vector<ModelNode*> directories_;
  std::uint64_t refused_ = 0;
};

}  // namespace xdax::test
