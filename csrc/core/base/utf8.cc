#include "core/base/utf8.h"

namespace npyfast {
namespace {

constexpr uint32_t kLastCodePoint = 0x10FFFF;

bool IsControl(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF ||
         (c >= 0xFFF9 && c <= 0xFFFB) || (c >= 0xE0000 && c <= 0xE007F);
}

bool IsSurrogate(uint32_t code_point) { return code_point >= 0xD800 && code_point <= 0xDFFF; }

}  // namespace

bool AppendUtf8(uint32_t code_point, std::string* out) {
  if (code_point > kLastCodePoint || IsSurrogate(code_point)) return false;
  const auto add = [out](uint32_t byte) { *out += static_cast<char>(byte); };
  if (code_point < 0x80) {
    add(code_point);
  } else if (code_point < 0x800) {
    add(0xC0 | (code_point >> 6));
    add(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    add(0xE0 | (code_point >> 12));
    add(0x80 | ((code_point >> 6) & 0x3F));
    add(0x80 | (code_point & 0x3F));
  } else {
    add(0xF0 | (code_point >> 18));
    add(0x80 | ((code_point >> 12) & 0x3F));
    add(0x80 | ((code_point >> 6) & 0x3F));
    add(0x80 | (code_point & 0x3F));
  }
  return true;
}

namespace {

// Reads one character, which takes `length` bytes; no length where it is none of UTF-8.
struct Character {
  uint32_t code_point;
  size_t length;
};

Character ReadUtf8(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  // A lead byte tells the length, and with it the smallest code point that needs that length.
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return {lead, 0};
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  uint32_t code_point = lead & (0xFFu >> (length + 1));
  for (size_t k = 1; k < length; ++k) {
    const auto next = static_cast<unsigned char>(text[k]);
    if ((next & 0xC0) != 0x80) return {lead, 0};
    code_point = (code_point << 6) | (next & 0x3Fu);
  }
  if (code_point < kSmallest[length] || code_point > kLastCodePoint || IsSurrogate(code_point))
    return {lead, 0};
  return {code_point, length};
}

void AppendEscape(uint32_t code_point, std::string* out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const int digits = code_point < 0x100 ? 2 : code_point < 0x10000 ? 4 : 8;
  *out += digits == 2 ? "\\x" : digits == 4 ? "\\u" : "\\U";
  for (int shift = 4 * digits; (shift -= 4) >= 0;) *out += kDigits[(code_point >> shift) & 15];
}

}  // namespace

int64_t CountUtf8(std::string_view text) {
  int64_t characters = 0;
  for (; !text.empty(); ++characters) {
    const Character next = ReadUtf8(text);
    if (next.length == 0) return -1;
    text.remove_prefix(next.length);
  }
  return characters;
}

std::string Printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto [code_point, length] = ReadUtf8(text);
    const size_t taken = length == 0 ? 1 : length;
    if (length == 0 || IsControl(code_point)) {
      AppendEscape(code_point, &out);
    } else {
      out += text.substr(0, taken);
    }
    text.remove_prefix(taken);
  }
  return out;
}

}  // namespace npyfast
