// Which requests of the lowest priority are refused at the door because nobody pays for answering them.
#pragma once

namespace mark {

// Refuses a share of what it is asked about, spread as evenly as may be: of any n in a row, share * n give or take one.
// No chance is involved, so that the same requests meet the same fate in a simulation.
//
// Thread safety: none.
class Shedding {
 public:
  void share(double share);  // in [0, 1]; throws std::invalid_argument
  bool refuses_next();

 private:
  double share_ = 0;
  double owed_ = 0;  // refusals that are due, less than 1
};

}  // namespace mark
