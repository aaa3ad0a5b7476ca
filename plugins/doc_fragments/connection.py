# Copyright (c) 2026 hwcloud.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the options that say where the cloud is and who asks."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - Python 3.10 or newer and the Python library C(requests) 2.28 or newer, where the module runs
options:
  cloud:
    description:
      - Domain of the cloud's service hosts; a host is C(service.region.cloud).
      - For example V(myhuaweicloud.com) (Huawei Cloud), V(otc.t-systems.com) (Open Telekom Cloud),
        V(sc.otc.t-systems.com) (its Swiss cloud), V(prod-cloud-ocb.orange-business.com) (Flexible Engine).
      - If not set, the environment variable E(HW_CLOUD) is used. The default is V(myhuaweicloud.com).
    type: str
  region:
    description:
      - Region, like V(eu-de).
      - If not set, the environment variables E(HW_REGION_NAME), then E(OS_REGION_NAME) are used.
      - Required, unless O(endpoints) names every service. There is no default.
    type: str
  auth_url:
    description:
      - URL of IAM, with or without V(/v3) at its end. It must be C(https), or on the local machine.
      - If not set, the environment variables E(HW_AUTH_URL), then E(OS_AUTH_URL) are used. The default is built from
        O(region) and O(cloud).
    type: str
  project_id:
    description:
      - Id of the project. If neither this nor the environment names it, it is looked up from O(project_name).
      - If not set, the environment variables E(HW_PROJECT_ID), then E(OS_PROJECT_ID) are used.
    type: str
  project_name:
    description:
      - Name of the project. Not needed with O(project_id).
      - If not set, the environment variables E(HW_PROJECT_NAME), then E(OS_PROJECT_NAME) are used. The default is the
        name of the region, which is that of the region's first project.
    type: str
  username:
    description:
      - User to log in with. Needs O(password) and O(domain_name).
      - There are three ways to log in. Password is O(username), O(password) and O(domain_name); token is O(token);
        signed requests are O(access_key) and O(secret_key), with temporary keys also O(security_token). Give exactly
        one of them, several are an error.
      - If the options give a way, credentials of the environment are not looked at. Else all of them come from
        E(HW_*) variables, else all from E(OS_*) variables; they are never mixed.
      - Environment variables are E(HW_USER_NAME) or E(OS_USERNAME). There is no default.
    type: str
  password:
    description:
      - Password of O(username). A refused password is never tried again, because accounts lock.
      - Environment variables are E(HW_USER_PASSWORD) or E(OS_PASSWORD). There is no default.
    type: str
  domain_name:
    description:
      - Name of the account (domain) that O(username) belongs to.
      - Environment variables are E(HW_DOMAIN_NAME) or E(OS_USER_DOMAIN_NAME). There is no default.
    type: str
  token:
    description:
      - A token of the project. It cannot be renewed here, so it must live longer than the task; tokens live 24 hours.
      - Environment variables are E(HW_AUTH_TOKEN) or E(OS_TOKEN). There is no default.
    type: str
  access_key:
    description:
      - Access key (AK). Every request is signed; the clock of this machine may be wrong by at most 15 minutes.
      - Environment variables are E(HW_ACCESS_KEY) or E(OS_ACCESS_KEY). There is no default.
    type: str
  secret_key:
    description:
      - Secret key (SK) of O(access_key). It never leaves the machine.
      - Environment variables are E(HW_SECRET_KEY) or E(OS_SECRET_KEY). There is no default.
    type: str
  security_token:
    description:
      - Needed with temporary access keys only.
      - The environment variable is E(HW_SECURITY_TOKEN). There is no default.
    type: str
  endpoints:
    description:
      - Base URLs by service (V(iam), V(hss), V(vbs), V(evs), V(ecs), V(cbr)), without version, with or without a path
        before it. They win over O(cloud), O(region) and O(auth_url).
      - If not set, the environment variable E(HW_ENDPOINTS) (JSON) is used. The default is none.
    type: dict
  enterprise_project_id:
    description:
      - Enterprise project for calls to HSS, 1 to 256 characters; V(all_granted_eps) means all that the user may see.
      - If not set, the environment variable E(HW_ENTERPRISE_PROJECT_ID) is used. By default it is not sent, and HSS
        takes V(0), the default enterprise project.
    type: str
  validate_certs:
    description:
      - Whether certificates are checked.
      - If not set, E(HW_INSECURE) set to V(true), V(1), V(yes) or V(on) switches the check off. The default is
        V(true).
    type: bool
  ca_cert:
    description:
      - File with the certificates of the authorities to trust, instead of those that come with Python's C(requests).
      - If not set, the environment variable E(HW_CACERT) is used. The default is none.
    type: path
  http_timeout:
    description:
      - Seconds to wait for one answer of the cloud, more than 0. This is not the time for a whole restore.
    type: float
    default: 60
  rate_limits:
    description:
      - Calls a minute that this process allows itself, by service, for each API of that service; whole numbers from
        1.
      - If not set, the environment variable E(HW_RATE_LIMITS) (JSON) is used. The default is C(hss 5), which is what
        HSS documents for one user; other services are not limited until they answer 429.
      - The limit is counted in one process. Several tasks at once with the same user share what the cloud allows.
    type: dict
notes:
  - Proxies are taken from the environment (E(HTTPS_PROXY), E(NO_PROXY)); C(.netrc) and E(REQUESTS_CA_BUNDLE) are not
    looked at.
  - The module talks to the cloud only and never to the servers, so run it where the cloud's API can be reached,
    usually with C(delegate_to=localhost) or C(hosts=localhost).
  - All modules of the collection are in the action group C(hwcloud.recovery.all), so these options can be set once
    with C(module_defaults).
"""
