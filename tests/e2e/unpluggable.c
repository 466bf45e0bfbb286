/* A PC/SC driver for a reader whose plug can be pulled while pcscd runs.
 *
 * vsmartcard's virtual reader never leaves: its driver has no word for that. This one stands before it and passes every
 * call on, as long as the file PLUG is there. Without it every call is answered as the driver of a USB reader answers
 * once the device is gone: IFD_NO_SUCH_DEVICE, also when the plug was pulled while the call was under way, so that what
 * the card has answered by then is lost.
 *
 * PLUG and VIRTUAL_DRIVER are paths, given when this is compiled.
 * Source: pcsc-lite's ifdhandler.h (IFD Handler 3.0).
 *
 * SPDX-License-Identifier: EUPL-1.2
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <ifdhandler.h>

#define VIRTUAL_DEVICE "/dev/null:0x8C7B" /* no host to connect to: it listens at this port */

/* The virtual driver's function of the same name. */
#define THEIR(function) ((__typeof__(&function))their_symbol(#function))
#define WHILE_PLUGGED(call) (is_plugged() ? unless_pulled(call) : IFD_NO_SUCH_DEVICE)

static void *their_symbol(const char *name)
{
	static void *driver;
	void *found;

	if (driver == NULL)
		driver = dlopen(VIRTUAL_DRIVER, RTLD_NOW | RTLD_LOCAL);
	found = driver == NULL ? NULL : dlsym(driver, name);
	if (found == NULL) {
		fprintf(stderr, "unpluggable: %s\n", dlerror());
		abort();
	}
	return found;
}

static int is_plugged(void)
{
	return access(PLUG, F_OK) == 0;
}

static RESPONSECODE unless_pulled(RESPONSECODE answer)
{
	return is_plugged() ? answer : IFD_NO_SUCH_DEVICE;
}

RESPONSECODE IFDHCreateChannelByName(DWORD lun, LPSTR usb_device)
{
	(void)usb_device;
	return WHILE_PLUGGED(THEIR(IFDHCreateChannelByName)(lun, (char[]){VIRTUAL_DEVICE}));
}

RESPONSECODE IFDHCreateChannel(DWORD lun, DWORD channel)
{
	return WHILE_PLUGGED(THEIR(IFDHCreateChannel)(lun, channel));
}

RESPONSECODE IFDHCloseChannel(DWORD lun)
{
	return THEIR(IFDHCloseChannel)(lun); /* what it holds is given back, plugged in or not */
}

RESPONSECODE IFDHGetCapabilities(DWORD lun, DWORD tag, PDWORD length, PUCHAR value)
{
	if (tag == TAG_IFD_SLOTS_NUMBER && *length >= 1) { /* of the virtual driver's two slots the first */
		*length = 1;
		*value = 1;
		return IFD_SUCCESS;
	}
	return THEIR(IFDHGetCapabilities)(lun, tag, length, value);
}

RESPONSECODE IFDHSetCapabilities(DWORD lun, DWORD tag, DWORD length, PUCHAR value)
{
	return THEIR(IFDHSetCapabilities)(lun, tag, length, value);
}

RESPONSECODE IFDHSetProtocolParameters(DWORD lun, DWORD protocol, UCHAR flags, UCHAR pts1, UCHAR pts2, UCHAR pts3)
{
	return WHILE_PLUGGED(THEIR(IFDHSetProtocolParameters)(lun, protocol, flags, pts1, pts2, pts3));
}

RESPONSECODE IFDHPowerICC(DWORD lun, DWORD action, PUCHAR atr, PDWORD atr_length)
{
	return WHILE_PLUGGED(THEIR(IFDHPowerICC)(lun, action, atr, atr_length));
}

RESPONSECODE IFDHTransmitToICC(DWORD lun, SCARD_IO_HEADER send_pci, PUCHAR sent, DWORD sent_length, PUCHAR received,
			       PDWORD received_length, PSCARD_IO_HEADER receive_pci)
{
	return WHILE_PLUGGED(
		THEIR(IFDHTransmitToICC)(lun, send_pci, sent, sent_length, received, received_length, receive_pci));
}

RESPONSECODE IFDHControl(DWORD lun, DWORD code, PUCHAR sent, DWORD sent_length, PUCHAR received, DWORD room,
			 LPDWORD received_length)
{
	return WHILE_PLUGGED(THEIR(IFDHControl)(lun, code, sent, sent_length, received, room, received_length));
}

RESPONSECODE IFDHICCPresence(DWORD lun)
{
	return WHILE_PLUGGED(THEIR(IFDHICCPresence)(lun));
}
