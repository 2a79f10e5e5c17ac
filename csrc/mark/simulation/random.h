// Random numbers that are the same on every machine: the standard fixes its engines, but not its distributions.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace mark {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  // In (0, 1]: its logarithm is finite.
  double uniform() { return (static_cast<double>(engine_() >> 11U) + 1.0) * 0x1.0p-53; }

  // With mean 1.
  double exponential() { return -std::log(uniform()); }

  // With mean 0 and variance 1 (Box and Muller, 1958); every second one is the other half of a pair.
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(2 * exponential());
    const double angle = 2 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  std::mt19937_64 engine_;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace mark
