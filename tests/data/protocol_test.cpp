#include "data/protocol.hpp"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

TEST_CASE("protocols are known by name, and an unknown name gets the list") {
  CHECK(protocol_of(ProtocolName::sequence).counting == Counting::once);
  CHECK(protocol_of(ProtocolName::mixste_seq2seq).counting == Counting::each_window);
  CHECK(protocol_of(ProtocolName::stcformer_centre).windows == WindowRule::centre_frame);
  CHECK(protocol_of(ProtocolName::vp3d).root == RootRule::as_estimated);
  CHECK_MESSAGE_PARTS(parse<ProtocolName>("mixste"), "protocol \"mixste\" is unknown", "sequence",
                      "mixste-seq2seq", "stcformer-centre", "vp3d");
}

TEST_CASE("how poses were made is kept beside what the file says of itself") {
  const auto making_of = [](const char* name, const WindowCut& cut, bool flip) {
    return provenance(protocol_of(parse<ProtocolName>(name)), cut, flip);
  };
  const auto ours = making_of("sequence", {.frames = 27, .stride = 9}, true);
  const auto centre =
      making_of("stcformer-centre",
                {.rule = WindowRule::centre_frame, .frames = 81, .stride = 1, .step = 3}, false);
  Dataset dataset;
  dataset.metadata = R"({"command":"prepare cmu"})";
  CHECK(provenance(dataset, "noisy_3d").is_null());
  set_provenance(dataset, "noisy_3d", centre);
  set_provenance(dataset, "refined_3d", ours);
  CHECK(provenance(dataset, "noisy_3d") == centre);
  CHECK(provenance(dataset, "refined_3d") == ours);
  CHECK(nlohmann::json::parse(dataset.metadata)["command"] == "prepare cmu");
  CHECK(has_parts(choices_text(ours),
                  {"protocol: sequence", "27 frames every 9", "averaged", "padding: last frame",
                   "root: set to zero", "flip_average: yes"}));
  CHECK(has_parts(choices_text(centre), {"stcformer-centre", "81 frames, 3 frames apart",
                                         "padding: first and last", "flip_average: no"}));
  // Other people's metadata may be any text.
  dataset.metadata = "filmed on Monday";
  CHECK(provenance(dataset, "noisy_3d").is_null());
  set_provenance(dataset, "noisy_3d", ours);
  CHECK(provenance(dataset, "noisy_3d") == ours);
  CHECK(nlohmann::json::parse(dataset.metadata)["source"] == "filmed on Monday");
}
