#include "net/rpc/grpc_framing.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace mark::net {

namespace {

constexpr int kWindowBits = 15;
constexpr int kGzipFormat = 16;  // added to the window bits: a gzip header and trailer around the data
constexpr int kMemoryLevel = 8;
constexpr std::size_t kInflateStepBytes = std::size_t{64} * 1024;
constexpr std::size_t kInflateCallBytes = std::size_t{1} << 30U;  // zlib counts in 32 bits
// What is announced is believed so far; beyond it memory grows with what comes.
constexpr std::size_t kReservedBytes = std::size_t{256} * 1024;
constexpr std::size_t kTimeoutDigits = 8;
constexpr std::int64_t kTimeoutMax = 99'999'999;

struct TimeoutUnit {
  char letter;
  std::int64_t ns;
};
constexpr std::array<TimeoutUnit, 6> kTimeoutUnits{
    {{'n', 1}, {'u', 1'000}, {'m', 1'000'000}, {'S', 1'000'000'000}, {'M', 60'000'000'000}, {'H', 3'600'000'000'000}}};

Bytef* input_of(std::string_view bytes) {
  // zlib reads only.
  return reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
}

int window_bits_of(GrpcEncoding encoding) {
  return encoding == GrpcEncoding::kGzip ? kWindowBits + kGzipFormat : kWindowBits;
}

std::size_t limit_of(std::int64_t bytes_max) {
  return bytes_max < 0 ? std::numeric_limits<std::size_t>::max() : static_cast<std::size_t>(bytes_max);
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

}  // namespace

std::array<char, kMessagePrefixBytes> message_prefix(std::size_t message_bytes) {
  return {0, static_cast<char>(message_bytes >> 24U), static_cast<char>(message_bytes >> 16U),
          static_cast<char>(message_bytes >> 8U), static_cast<char>(message_bytes)};
}

GrpcEncoding grpc_encoding_of(std::string_view name) {
  if (name == "identity") return GrpcEncoding::kIdentity;
  if (name == "gzip") return GrpcEncoding::kGzip;
  return name == "deflate" ? GrpcEncoding::kDeflate : GrpcEncoding::kUnknown;
}

MessageReader::Result MessageReader::append(std::string_view bytes) {
  if (bytes.empty()) return result_;
  if (result_ != Result::kMore) {
    has_excess_ = true;
    return result_;
  }
  if (prefix_count_ < kMessagePrefixBytes) {
    const std::size_t count = std::min(bytes.size(), kMessagePrefixBytes - prefix_count_);
    bytes.copy(prefix_.data() + prefix_count_, count);
    prefix_count_ += count;
    bytes.remove_prefix(count);
    if (prefix_count_ < kMessagePrefixBytes) return result_;
    result_ = read_prefix();
    if (result_ != Result::kMore) return result_;
  }
  const std::size_t count = std::min(bytes.size(), announced_ - message_.size());
  message_.append(bytes.substr(0, count));
  if (message_.size() < announced_) return result_;
  has_excess_ = count < bytes.size();
  result_ = finish();
  return result_;
}

MessageReader::Result MessageReader::read_prefix() {
  if (prefix_[0] != 0 && prefix_[0] != 1) return Result::kBadFlag;
  compressed_ = prefix_[0] == 1;
  for (std::size_t i = 1; i < kMessagePrefixBytes; ++i) {
    announced_ = announced_ << 8U | static_cast<unsigned char>(prefix_[i]);
  }
  if (announced_ > limit_of(bytes_max_)) return Result::kTooLarge;
  if (compressed_ && encoding_ != GrpcEncoding::kGzip && encoding_ != GrpcEncoding::kDeflate)
    return Result::kCompressed;
  message_.reserve(std::min(announced_, kReservedBytes));
  return Result::kMore;
}

MessageReader::Result MessageReader::finish() {
  if (!compressed_) return Result::kComplete;
  std::string whole;
  const bool is_limited_more = limit_of(inflated_bytes_max_) < limit_of(bytes_max_);
  const InflateResult result = inflated(message_, encoding_, is_limited_more ? inflated_bytes_max_ : bytes_max_, whole);
  message_ = std::move(whole);
  if (result == InflateResult::kTooLarge) return Result::kInflatesTooLarge;
  return result == InflateResult::kDone ? Result::kComplete : Result::kBroken;
}

InflateResult inflated(std::string_view bytes, GrpcEncoding encoding, std::int64_t inflated_bytes_max,
                       std::string& result) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits_of(encoding)) != Z_OK) throw std::bad_alloc();
  stream.next_in = input_of(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  const std::size_t limit = limit_of(inflated_bytes_max);
  int status = Z_OK;
  result.clear();
  while (status == Z_OK && result.size() <= limit) {
    const std::size_t before = result.size();
    // By halves more, so that a large message is not copied over and over.
    result.resize(before + std::max(kInflateStepBytes, before / 2));
    const std::size_t room = std::min(result.size() - before, kInflateCallBytes);
    stream.next_out = reinterpret_cast<Bytef*>(result.data() + before);
    stream.avail_out = static_cast<uInt>(room);
    status = inflate(&stream, Z_NO_FLUSH);
    result.resize(before + room - stream.avail_out);
  }
  const bool is_whole = status == Z_STREAM_END && stream.avail_in == 0;
  inflateEnd(&stream);
  if (result.size() > limit) return InflateResult::kTooLarge;
  return is_whole ? InflateResult::kDone : InflateResult::kBroken;
}

std::string deflated(std::string_view bytes, GrpcEncoding encoding) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits_of(encoding), kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  std::string result(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = input_of(bytes);
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);  // into a buffer of deflateBound(), so that once is enough
  result.resize(result.size() - stream.avail_out);
  deflateEnd(&stream);
  return result;
}

std::optional<DurationNs> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > kTimeoutDigits + 1) return std::nullopt;
  std::int64_t count = 0;
  for (const char digit : text.substr(0, text.size() - 1)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    count = count * 10 + (digit - '0');
  }
  for (const TimeoutUnit& unit : kTimeoutUnits) {
    if (unit.letter != text.back()) continue;
    constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
    // 8 digits of hours are more than a clock can count: that is no deadline, but not an error.
    return DurationNs{count > kMax / unit.ns ? kMax : count * unit.ns};
  }
  return std::nullopt;
}

std::string grpc_timeout_of(DurationNs timeout) {
  const std::int64_t ns = std::max<std::int64_t>(timeout.count(), 1);
  for (const TimeoutUnit& unit : kTimeoutUnits) {
    const std::int64_t count = ns / unit.ns + (ns % unit.ns != 0 ? 1 : 0);
    if (count <= kTimeoutMax) return std::to_string(count) + unit.letter;
  }
  return std::to_string(kTimeoutMax) + 'H';
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char each : text) {
    if (each >= ' ' && each <= '~' && each != '%') {
      encoded.push_back(each);
      continue;
    }
    const auto byte = static_cast<unsigned char>(each);
    encoded.push_back('%');
    encoded.push_back(kHex[byte >> 4U]);
    encoded.push_back(kHex[byte & 0xFU]);
  }
  return encoded;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        decoded.push_back(static_cast<char>(high * 16 + low));
        i += 2;
        continue;
      }
    }
    decoded.push_back(text[i]);
  }
  return decoded;
}

}  // namespace mark::net
