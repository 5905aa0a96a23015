#include "data/pickle.hpp"

#include <doctest/doctest.h>

#include "data/numpy_pickle.hpp"
#include "tests/data/files.hpp"

using namespace posetape;
using namespace posetape::data;
using namespace posetape::test;

namespace {

constexpr std::array<std::string_view, 1> kOrdered{"collections.OrderedDict"};

Pickle parse(std::string_view text, const PickleOptions& options = {}) {
  return parse_pickle(std::as_bytes(std::span(text.data(), text.size())), "file.npz", options);
}

}  // namespace

TEST_CASE("plain values of a pickle come back") {
  // {'a': [1, -2, 2.5, True, None], 'b': (b'xyz', 'u')} of protocol 4.
  const std::string text(
      "\x80\x04\x95\x2e\0\0\0\0\0\0\0}\x94(\x8c\x01"
      "a\x94]\x94(K\x01J\xfe\xff\xff\xffG@\x04\0\0\0\0\0\0\x88Ne\x8c\x01"
      "b\x94"
      "C\x03xyz\x94\x8c\x01u\x94\x86\x94u.rest",
      62);
  const Pickle pickle = parse(text);
  CHECK(text.substr(pickle.length) == "rest");
  CHECK(pickle.value.size() == 2);
  const PickleValue list = *pickle.value.find("a");
  REQUIRE(list.size() == 5);
  CHECK(list[0].integer() == 1);
  CHECK(list[1].integer() == -2);
  CHECK(list[2].real() == 2.5);
  CHECK(list[3].boolean());
  CHECK(list[4].kind() == PickleKind::none);
  const PickleValue tuple = *pickle.value.find("b");
  CHECK(tuple[0].text() == "xyz");
  CHECK(tuple[1].kind() == PickleKind::text);
  CHECK_FALSE(pickle.value.find("c"));
  CHECK_MESSAGE_PARTS(list[5], "file.npz", "5 elements");
  CHECK_MESSAGE_PARTS(list.find("x"), "a list where a dict is expected");
  CHECK_MESSAGE_PARTS(list[0].text(), "an integer where a text is expected");
}

TEST_CASE("a pickle's integers have any length") {
  CHECK(parse("L-12L\n.").value.integer() == -12);
  CHECK(parse("I01\n.").value.boolean());
  CHECK(parse(std::string_view("\x8a\0.", 3)).value.integer() == 0);
  CHECK(parse("\x8a\x01\xff"
              ".")
            .value.integer() == -1);
  CHECK(parse(std::string_view("\x8a\x02\xff\0.", 5)).value.integer() == 255);
  // The magic number of PyTorch's old files.
  const Pickle magic = parse(
      "\x8a\nl\xfc\x9c"
      "F\xf9 j\xa8P\x19.");
  CHECK(magic.value.kind() == PickleKind::long_integer);
  CHECK(magic.value.bytes().size() == 10);
  CHECK_MESSAGE_PARTS(parse("L99999999999999999999L\n."), "damaged", "not a number");
}

TEST_CASE("no global is read that is not allowed, and its name is said") {
  CHECK_MESSAGE_PARTS(parse("cos\nsystem\n(S'ls'\ntR."), "file.npz", "'os.system'", "refused");
  CHECK_MESSAGE_PARTS(parse("\x8c\x02os\x8c\x06"
                            "system\x93."),
                      "'os.system'", "refused");
  CHECK_MESSAGE_PARTS(parse("(ios\nsystem\n."), "opcode 0x69");
  CHECK_MESSAGE_PARTS(parse("\x82\x01."), "opcode 0x82");
  CHECK_MESSAGE_PARTS(parse("ca\x01\x1b[31m\nb\n."), "'a??[31m.b'");
  CHECK_MESSAGE_PARTS(parse("c" + std::string(5000, 'x') + "\nb\n."), "xxx...'");
  CHECK_MESSAGE_PARTS(parse("Pid\n."), "outside");
  CHECK_MESSAGE_PARTS(parse("\x80\x06N."), "protocol 6", "protocol=4");

  const PickleOptions options{.globals = kOrdered};
  const Pickle pickle = parse("ccollections\nOrderedDict\n)R(U\x01kK\x07u}b.", options);
  CHECK(pickle.value.function() == "collections.OrderedDict");
  CHECK(pickle.value.arguments().size() == 0);
  CHECK(pickle.value.find("k")->integer() == 7);
  CHECK(pickle.value.state()->kind() == PickleKind::dict);
  // Nothing but a name from the list can be called.
  CHECK_MESSAGE_PARTS(parse("S'eval'\n)R.", options), "no function");
  CHECK_MESSAGE_PARTS(parse("ccollections\nOrderedDict\n)R)R.", options), "no function");
}

TEST_CASE("objects of any class are data where they may occur, but what runs commands is refused") {
  using namespace std::string_literals;
  const PickleOptions any{.globals = {}, .any_class = true};
  // argparse.Namespace(lr=7), by a state that is a dict.
  const PickleValue space = parse("cargparse\nNamespace\n)\x81}U\x02lrK\x07sb.", any).value;
  CHECK(space.function() == "argparse.Namespace");
  CHECK(space.state()->find("lr")->integer() == 7);
  CHECK(space.size() == 0);
  CHECK_FALSE(space.elements());
  // collections.deque, by elements; a dict of a class, by entries and a state.
  const PickleValue deque = parse(
                                "ccollections\ndeque\n)R(K\x01K\x02"
                                "eK\x03"
                                "a.",
                                any)
                                .value;
  REQUIRE(deque.elements()->size() == 3);
  CHECK((*deque.elements())[2].integer() == 3);
  CHECK(deque.size() == 0);
  const PickleValue dict = parse("cmine\nConfig\n)\x81U\x01kK\x07s}b.", any).value;
  CHECK(dict.find("k")->integer() == 7);
  // With named arguments; by calling what a call has made; the same of a stored class.
  CHECK(parse("cmine\nA\n)}\x92.", any).value.function() == "mine.A");
  CHECK(parse("cbuiltins\ngetattr\n(cmine\nA\nU\x01xtR)R.", any).value.function().empty());
  const PickleOptions stored{.globals = {}, .any_class = true, .persistent_ids = true};
  const Pickle module = parse("(U\x06modulecnet\nModel\ntQ)\x81.", stored);
  CHECK(module.value.function() == "net.Model");
  REQUIRE(module.persistent.size() == 1);
  CHECK(module.persistent[0].arguments()[0].text() == "module");
  CHECK_MESSAGE_PARTS(parse("U\x01xQ)\x81.", stored), "no function");
  CHECK_MESSAGE_PARTS(parse("(tQ)\x81.", stored), "no function");

  for (const char* name : {"os\nsystem", "posix\nsystem", "nt\nsystem", "subprocess\nPopen",
                           "builtins\neval", "__builtin__\nexecfile", "builtins\n__import__",
                           "runpy\nrun_path", "ctypes.util\nfind_library", "io\nopen"}) {
    CAPTURE(name);
    CHECK_MESSAGE_PARTS(parse("c" + std::string(name) + "\n.", any), "which is refused",
                        "Python would run it");
  }
  // What is listed is allowed all the same, what is not and may not be any class is refused.
  constexpr std::array<std::string_view, 1> kListed{"os.system"};
  CHECK(parse("cos\nsystem\n.", {.globals = kListed, .any_class = true}).value.function() ==
        "os.system");
  CHECK_MESSAGE_PARTS(parse("cargparse\nNamespace\n."), "'argparse.Namespace'", "refused");
}

TEST_CASE("sets and byte arrays of a pickle come back") {
  // {1, 2}, frozenset({3}), bytearray(b'xyz') of protocol 5.
  constexpr std::string_view kText(
      "\x80\x05\x8f(K\x01K\x02\x90(K\x03\x91\x96\x03\0\0\0\0\0\0\0xyz\x87.", 27);
  const PickleValue all = parse(kText).value;
  REQUIRE(all.size() == 3);
  CHECK(all[0].kind() == PickleKind::set);
  REQUIRE(all[0].size() == 2);
  CHECK(all[0][1].integer() == 2);
  CHECK(all[1].kind() == PickleKind::set);
  CHECK(all[1][0].integer() == 3);
  CHECK(all[2].text() == "xyz");
  CHECK_MESSAGE_PARTS(parse("](K\x01\x90."), "no set");
  CHECK_MESSAGE_PARTS(parse("\x97."), "opcode 0x97");
}

TEST_CASE("a damaged pickle is refused wherever it is cut") {
  using namespace std::string_literals;
  // {"a": [1, 258], "b": 1.5}
  const std::string whole =
      "\x80\x02}q\x01(X\x01\0\0\0aq\x02]q\x03(K\x01M\x02\x01"s
      "eX\x01\0\0\0bG?\xf8\0\0\0\0\0\0u."s;
  CHECK(parse(whole).value.find("b")->real() == 1.5);
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    CHECK_MESSAGE_PARTS(parse(whole.substr(0, cut)), "file.npz", "damaged", "again");
  }
  for (const char* text : {"0.",
                           "a.",
                           "t.",
                           "(u.",
                           "}(K\x01u.",
                           "h\x01.",
                           "g1\n.",
                           "gx\n.",
                           "K\x01"
                           "b.",
                           "S'a\n.",
                           "S'\\y'\n.",
                           "V\\u12\n.",
                           "]K\x01K\x02s.",
                           "}K\x01"
                           "a.",
                           "(.",
                           "(0.",
                           "Fx\n.",
                           "K\x01K\x02\x93.",
                           "R.",
                           "2."}) {
    CAPTURE(text);
    CHECK_MESSAGE_PARTS(parse(text), "damaged");
  }
  CHECK_MESSAGE_PARTS(parse(std::string("\x8e\0\0\0\0\0\0\0\x80", 9)), "damaged", "cut off");
}

TEST_CASE("a pickle nested a million times, or in itself, harms nobody") {
  // [[[...]]] both ways: all opened and then closed, and one wrapped into the next.
  const std::size_t depth = 1'000'000;
  CHECK(parse(std::string(depth, '(') + std::string(depth, 'l') + ".").value.size() == 1);
  std::string wrapped = ")";
  wrapped.append(depth, '\x85');
  CHECK(parse(wrapped + ".").value.size() == 1);
  const PickleValue self = parse(
                               "]q\x01h\x01"
                               "a.")
                               .value;
  CHECK(self[0][0][0].size() == 1);
}

TEST_CASE("a pickle of more values than poses have is refused before it fills the memory") {
  CHECK_MESSAGE_PARTS(parse(std::string(5'000'000, 'N')), "more than 4194304 values");
  CHECK_MESSAGE_PARTS(parse(std::string(5'000'000, '(')), "more than 4194304 values");
  CHECK_MESSAGE_PARTS(parse("N" + std::string(5'000'000, '\x94')), "more than 4194304 values");
  CHECK_MESSAGE_PARTS(parse("N" + std::string(5'000'000, '2')), "more than 4194304 values");
}

TEST_CASE("arrays whose state does not fit are refused") {
  const auto read = [](std::string_view shape, std::string_view dtype, std::string_view data) {
    std::string text = "cnumpy.core.multiarray\n_reconstruct\n)R(K\x01" + std::string(shape);
    text += "cnumpy\ndtype\n(U\x02" + std::string(dtype) + "I0\nI1\ntR(K\x03U\x01<NNNtb";
    text += "I00\n" + std::string(data) + "tb.";
    return array_of(parse(text, {.globals = numpy_globals()}).value, "here");
  };
  CHECK(read("(K\x02t", "u1", "U\x02\x01\x02").as<int>() == std::vector<int>{1, 2});
  CHECK_MESSAGE_PARTS(read("(K\x03t", "f4",
                           "U\x08"
                           "12345678"),
                      "here", "cut off", "12 bytes");
  CHECK_MESSAGE_PARTS(read("(J\xff\xff\xff\xfft", "f4", "U\x01x"), "here", "shape (-1,)");
  CHECK_MESSAGE_PARTS(read("(L9223372036854775807L\nL9223372036854775807L\nt", "f4", "U\x01x"),
                      "here", "impossible");
  CHECK_MESSAGE_PARTS(read("(K\x01" + std::string(32, '2') + "t", "f4", "U\x01x"), "here",
                      "33 dimensions");
  CHECK_MESSAGE_PARTS(read("(t", "c8", "U\x01x"), "here", "'<c8' are not supported");
  CHECK_MESSAGE_PARTS(read("(t", "f4", "]"), "here", "array of Python objects");
  CHECK_MESSAGE_PARTS(read("(t", "f4", "N"), "file.npz", "None where a text is expected");

  const auto refuse = [](std::string_view text) {
    array_of(parse(text, {.globals = numpy_globals()}).value, "here");
  };
  CHECK_MESSAGE_PARTS(refuse("cnumpy.core.multiarray\n_reconstruct\n)R."), "here", "numpy array");
  CHECK_MESSAGE_PARTS(refuse("cnumpy.core.multiarray\n_reconstruct\n)R(K\x01tb."), "file.npz",
                      "1 elements where more are expected");
  CHECK_MESSAGE_PARTS(refuse("]."), "here", "expected a numpy array, found a list");
}
