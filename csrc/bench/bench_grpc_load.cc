// The native load generator by itself, for a server that is faster than it: how much one core can send.
//
// usage: bench_grpc_load ADDRESS open RATE_PER_S SECONDS [CONNECTIONS [BYTES]]
//        bench_grpc_load ADDRESS closed IN_FLIGHT SECONDS [CONNECTIONS [BYTES]]
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "net/rpc/load_generator.h"

namespace {

using namespace mark::net;

// No more than 1e9, so that nanoseconds and products of two arguments fit.
template <class Number>
Number number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() ||
      !(value >= Number{0} && value <= Number{1'000'000'000})) {
    throw std::invalid_argument("not a number from 0 to 1e9: \"" + std::string(text) + "\"");
  }
  return value;
}

double quantile_us(std::vector<std::int64_t>& values, double share) {
  if (values.empty()) return 0.0;
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return static_cast<double>(*at) / 1e3;
}

double cpu_us() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto us_of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_usec);
  };
  return us_of(used.ru_utime) + us_of(used.ru_stime);
}

int report(LoadOutcome& outcome, double seconds) {
  const double cpu_us_per_request = cpu_us() / static_cast<double>(std::max<std::size_t>(outcome.ending.size(), 1));
  std::size_t answered = 0;
  for (const std::uint16_t ending : outcome.ending) {
    answered += outcome.endings[ending].kind == LoadOutcome::Ending::Kind::kAnswered ? 1U : 0U;
  }
  std::printf(
      "{\"requests\": %zu, \"answered\": %zu, \"answered_per_s\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
      "\"lag_p50_us\": %.1f, \"lag_p99_us\": %.1f, \"lag_max_us\": %.1f, \"duration_s\": %.3f, \"cpu_us_per_request\": "
      "%.2f}\n",
      outcome.ending.size(), answered, static_cast<double>(answered) / std::max(seconds, 1e-9),
      quantile_us(outcome.latency_ns, 0.5), quantile_us(outcome.latency_ns, 0.99), quantile_us(outcome.lag_ns, 0.5),
      quantile_us(outcome.lag_ns, 0.99), quantile_us(outcome.lag_ns, 1.0), seconds, cpu_us_per_request);
  return answered == outcome.ending.size() ? 0 : 1;
}

}  // namespace

int main(int count, char* const* arguments) {
  if (count < 5) {
    std::fprintf(stderr, "usage: bench_grpc_load ADDRESS open|closed RATE|IN_FLIGHT SECONDS [CONNECTIONS [BYTES]]\n");
    return 2;
  }
  try {
    LoadParams params;
    params.address = arguments[1];
    params.in_flight_max = 1'000'000;
    const bool is_open = std::string(arguments[2]) == "open";
    const double amount = number<double>(arguments[3]);
    const double seconds = number<double>(arguments[4]);
    params.connections = count > 5 ? number<int>(arguments[5]) : 4;
    const std::size_t bytes = count > 6 ? number<std::size_t>(arguments[6]) : 128;
    LoadGenerator generator(params, {std::string(bytes, 'x')});
    LoadOutcome outcome;
    if (is_open) {
      std::vector<std::int64_t> instants_ns(static_cast<std::size_t>(amount * seconds));
      for (std::size_t i = 0; i < instants_ns.size(); ++i) {
        instants_ns[i] = static_cast<std::int64_t>(static_cast<double>(i) * 1e9 / amount);
      }
      outcome = generator.run_open(instants_ns);
    } else {
      outcome = generator.run_closed(static_cast<std::size_t>(amount),
                                     mark::DurationNs{static_cast<std::int64_t>(seconds * 1e9)});
    }
    return report(outcome, static_cast<double>(outcome.duration.count()) / 1e9);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
