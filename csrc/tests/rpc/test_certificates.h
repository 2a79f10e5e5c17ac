// Authorities and certificates for tests, made on the spot.
#pragma once

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>

namespace mark::net {

struct CertificateWishes {
  std::string name = "worker.test";
  long valid_from_s = -3600;  // from now
  long valid_to_s = 3600;
};

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name) : key_(new_key()), certificate_(X509_new(), X509_free) {
    fill(certificate_.get(), name, {}, key_.get());
    X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get()));
    extend(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    extend(certificate_.get(), NID_key_usage, "critical,keyCertSign");
    sign(certificate_.get());
  }

  std::string pem() const { return pem_of(certificate_.get()); }

  struct Issued {
    std::string certificate_pem;
    std::string key_pem;
  };
  Issued issue(const CertificateWishes& wishes = {}) const {
    const KeyPointer key = new_key();
    const CertificatePointer made(X509_new(), X509_free);
    fill(made.get(), wishes.name, wishes, key.get());
    X509_set_issuer_name(made.get(), X509_get_subject_name(certificate_.get()));
    const bool is_ip = wishes.name.find_first_not_of("0123456789.") == std::string::npos;
    extend(made.get(), NID_subject_alt_name, (is_ip ? "IP:" : "DNS:") + wishes.name);
    sign(made.get());
    return {pem_of(made.get()), pem_of(key.get())};
  }

 private:
  using KeyPointer = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
  using CertificatePointer = std::unique_ptr<X509, decltype(&X509_free)>;

  static KeyPointer new_key() {
    KeyPointer key(EVP_EC_gen("P-256"), EVP_PKEY_free);
    REQUIRE(key);
    return key;
  }
  static void fill(X509* certificate, const std::string& name, const CertificateWishes& wishes, EVP_PKEY* key) {
    static long serial = 0;
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(certificate), wishes.valid_from_s);
    X509_gmtime_adj(X509_getm_notAfter(certificate), wishes.valid_to_s);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_pubkey(certificate, key);
  }
  static void extend(X509* certificate, int nid, const std::string& value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void sign(X509* certificate) const { REQUIRE(X509_sign(certificate, key_.get(), EVP_sha256()) > 0); }

  template <class Write>
  static std::string text_of(Write write) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
    REQUIRE(write(bio.get()) == 1);
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &bytes);
    return {bytes, static_cast<std::size_t>(size)};
  }
  static std::string pem_of(X509* certificate) {
    return text_of([certificate](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
  }
  static std::string pem_of(EVP_PKEY* key) {
    return text_of(
        [key](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
  }

  KeyPointer key_;
  CertificatePointer certificate_;
};

}  // namespace mark::net
