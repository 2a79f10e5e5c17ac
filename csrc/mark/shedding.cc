#include "mark/shedding.h"

#include <stdexcept>

namespace mark {
namespace {

constexpr double kRounding = 1e-9;  // ten times a tenth is a hair's breadth less than one

}  // namespace

void Shedding::share(double share) {
  if (!(share >= 0 && share <= 1)) {
    throw std::invalid_argument("shedding: the share must lie in [0, 1]");
  }
  share_ = share;
  if (share == 0) {
    owed_ = 0;
  }
}

bool Shedding::refuses_next() {
  owed_ += share_;
  if (owed_ < 1 - kRounding) {
    return false;
  }
  owed_ -= 1;
  return true;
}

}  // namespace mark
